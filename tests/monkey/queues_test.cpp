// Queues and semaphores of the kernel's, asynchronous files, and what else waits without a
// descriptor to look at.

#include "monkey/patched.hpp"

#include <aio.h>
#include <mqueue.h>
#include <pty.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <termios.h>
#include <wordexp.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>

using namespace std::chrono_literals;

namespace {

class MonkeyQueues : public MonkeyTest {
 protected:
  // The call parks until `go` has been called, and gives this.
  static void expect_parks(const std::function<long()>& call, const std::function<void()>& go,
                           long result, int error = 0) {
    int said = 0;
    auto waiter = fern::spawn([&] {
      errno = 0;
      long got = call();
      said = errno;
      return got;
    });
    fern::sleep(2ms);
    EXPECT_FALSE(waiter.ready());
    go();
    EXPECT_EQ(waiter.get(), result);
    EXPECT_EQ(said, error);
  }

  static void expect_killed(const std::function<long()>& call) {
    long result = 0;
    int error = 0;
    auto victim = fern::spawn([&] {
      result = call();
      error = errno;
    });
    fern::sleep(2ms);
    EXPECT_FALSE(victim.ready());
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(result, -1);
    EXPECT_EQ(error, ECANCELED);
  }

  static void expect_as_native(const char* what, const std::function<long()>& call) {
    long native;
    int native_error;
    errno = 0;
    {
      fern::monkey::native_scope scope;
      native = call();
      native_error = errno;
    }
    errno = 0;
    EXPECT_EQ(call(), native) << what;
    EXPECT_EQ(errno, native_error) << what;
  }
};

timespec in(std::chrono::nanoseconds time) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  auto all = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) + time;
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(all);
  return {seconds.count(), (all - seconds).count()};
}

// --- POSIX's message queues -------------------------------------------------------------------

struct Posix {
  Posix() {
    std::string name = "/fern-test-" + std::to_string(getpid());
    mq_attr shape{};
    shape.mq_maxmsg = 2;
    shape.mq_msgsize = 16;
    queue = mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, &shape);
    mq_unlink(name.c_str());
  }
  Posix(const Posix&) = delete;
  Posix& operator=(const Posix&) = delete;
  ~Posix() {
    if (queue >= 0) mq_close(queue);
  }
  void fill() const {
    EXPECT_EQ(mq_send(queue, "one", 4, 1), 0);
    EXPECT_EQ(mq_send(queue, "two", 4, 2), 0);
  }
  void drain() const {
    char message[16];
    EXPECT_EQ(mq_receive(queue, message, sizeof message, nullptr), 4);
  }
  mqd_t queue = -1;
};

TEST_F(MonkeyQueues, PosixQueuesParkWhenEmptyAndWhenFull) {
  Posix queue;
  if (queue.queue < 0) GTEST_SKIP() << "no message queues here";
  char message[16];
  unsigned priority = 0;
  auto receive = [&] { return mq_receive(queue.queue, message, sizeof message, &priority); };
  auto send = [&] { return mq_send(queue.queue, "three", 6, 3); };
  expect_parks(receive, [&] { EXPECT_EQ(mq_send(queue.queue, "hello", 6, 5), 0); }, 6);
  EXPECT_STREQ(message, "hello");
  EXPECT_EQ(priority, 5u);
  expect_killed(receive);
  queue.fill();
  expect_killed(send);
  expect_parks(send, [&] { queue.drain(); }, 0);
  EXPECT_EQ(receive(), 6);
  EXPECT_STREQ(message, "three");
}

TEST_F(MonkeyQueues, PosixQueuesSayWhatTheySayNatively) {
  Posix queue;
  if (queue.queue < 0) GTEST_SKIP() << "no message queues here";
  char message[16];
  timespec none{};
  timespec wrong{0, -1};
  expect_as_native("too late", [&] {
    return mq_timedreceive(queue.queue, message, sizeof message, nullptr, &none);
  });
  expect_as_native("soon too late", [&] {
    timespec soon = in(3ms);
    return mq_timedreceive(queue.queue, message, sizeof message, nullptr, &soon);
  });
  expect_as_native("no time", [&] {
    return mq_timedreceive(queue.queue, message, sizeof message, nullptr, &wrong);
  });
  expect_as_native("no room", [&] { return mq_receive(queue.queue, message, 3, nullptr); });
  expect_as_native("no queue", [&] { return mq_receive(-1, message, sizeof message, nullptr); });
  expect_as_native("a pipe", [&] { return mq_send(0, message, 3, 0); });
  expect_as_native("too long", [&] { return mq_send(queue.queue, message, 17, 0); });
  queue.fill();
  expect_as_native("full for long", [&] {
    timespec soon = in(3ms);
    return mq_timedsend(queue.queue, "x", 1, 0, &soon);
  });
  mq_attr flags{};
  flags.mq_flags = O_NONBLOCK;
  EXPECT_EQ(mq_setattr(queue.queue, &flags, nullptr), 0);
  expect_as_native("told not to wait", [&] { return mq_send(queue.queue, "x", 1, 0); });
  queue.drain();
  queue.drain();
  expect_as_native("told not to wait",
                   [&] { return mq_receive(queue.queue, message, sizeof message, nullptr); });
}

// --- System V's -------------------------------------------------------------------------------

struct Message {
  long type;
  char text[1024];
};

TEST_F(MonkeyQueues, SystemVQueuesPark) {
  int queue = msgget(IPC_PRIVATE, 0600);
  if (queue < 0) GTEST_SKIP() << "no System V queues here";
  Message message{};
  Message hello{7, "hello"};
  auto receive = [&] { return msgrcv(queue, &message, sizeof message.text, 7, 0); };
  expect_parks(receive, [&] { EXPECT_EQ(msgsnd(queue, &hello, 6, 0), 0); }, 6);
  EXPECT_STREQ(message.text, "hello");
  expect_killed(receive);
  expect_as_native("nothing", [&] { return msgrcv(queue, &message, 10, 0, IPC_NOWAIT); });
  expect_as_native("no queue", [&] { return msgrcv(-1, &message, 10, 0, 0); });
  expect_as_native("no type", [&] {
    Message none{};
    return msgsnd(queue, &none, 6, 0);
  });
  while (msgsnd(queue, &hello, sizeof hello.text, IPC_NOWAIT) == 0) {
  }
  EXPECT_EQ(errno, EAGAIN);
  auto send = [&] { return msgsnd(queue, &hello, sizeof hello.text, 0); };
  expect_killed(send);
  expect_parks(send, [&] { EXPECT_GT(receive(), 0); }, 0);
  expect_parks(send, [&] { EXPECT_EQ(msgctl(queue, IPC_RMID, nullptr), 0); }, -1, EIDRM);
}

TEST_F(MonkeyQueues, SystemVSemaphoresPark) {
  int set = semget(IPC_PRIVATE, 2, 0600);
  if (set < 0) GTEST_SKIP() << "no System V semaphores here";
  sembuf take{0, -1, 0};
  sembuf give{0, 1, 0};
  sembuf zero{0, 0, 0};
  auto wait = [&] { return semop(set, &take, 1); };
  expect_parks(wait, [&] { EXPECT_EQ(semop(set, &give, 1), 0); }, 0);
  expect_killed(wait);
  expect_as_native("for a time", [&] {
    timespec soon{0, 3'000'000};
    return semtimedop(set, &take, 1, &soon);
  });
  expect_as_native("no set", [&] { return semop(-1, &take, 1); });
  expect_as_native("no operation", [&] { return semop(set, &take, 0); });
  expect_as_native("no memory", [&] { return semop(set, nullptr, 1); });
  expect_as_native("no such one", [&] {
    sembuf third{2, -1, 0};
    return semop(set, &third, 1);
  });
  expect_as_native("no time", [&] {
    timespec wrong{0, -1};
    return semtimedop(set, &take, 1, &wrong);
  });
  expect_as_native("told not to wait", [&] {
    sembuf now{0, -1, IPC_NOWAIT};
    return semop(set, &now, 1);
  });
  EXPECT_EQ(semop(set, &give, 1), 0);
  expect_parks([&] { return semop(set, &zero, 1); }, [&] { EXPECT_EQ(wait(), 0); }, 0);
  sembuf mixed[] = {{0, -1, 0}, {1, 1, IPC_NOWAIT}};
  expect_parks([&] { return semop(set, mixed, 2); }, [&] { EXPECT_EQ(semop(set, &give, 1), 0); },
               0);
  EXPECT_EQ(take.sem_flg, 0);
  expect_parks(wait, [&] { EXPECT_EQ(semctl(set, 0, IPC_RMID), 0); }, -1, EIDRM);
}

// --- asynchronous reads -----------------------------------------------------------------------

TEST_F(MonkeyQueues, WaitingForAnAsynchronousReadParks) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  char byte = 0;
  aiocb read{};
  read.aio_fildes = fds[0];
  read.aio_buf = &byte;
  read.aio_nbytes = 1;
  read.aio_lio_opcode = LIO_READ;
  ASSERT_EQ(aio_read(&read), 0);
  const aiocb* list[] = {nullptr, &read};
  auto suspend = [&] { return aio_suspend(list, 2, nullptr); };
  expect_killed(suspend);
  expect_as_native("for a time", [&] {
    timespec soon{0, 3'000'000};
    return aio_suspend(list, 2, &soon);
  });
  expect_parks(suspend, [&] { EXPECT_EQ(write(fds[1], "x", 1), 1); }, 0);
  EXPECT_EQ(aio_error(&read), 0);
  EXPECT_EQ(aio_return(&read), 1);
  EXPECT_EQ(byte, 'x');
  aiocb* reads[] = {&read};
  expect_parks([&] { return lio_listio(LIO_WAIT, reads, 1, nullptr); },
               [&] { EXPECT_EQ(write(fds[1], "y", 1), 1); }, 0);
  EXPECT_EQ(byte, 'y');
  close(fds[1]);
  read.aio_fildes = -1;
  expect_as_native("no descriptor", [&] { return lio_listio(LIO_WAIT, reads, 1, nullptr); });
  close(fds[0]);
}

// --- and the rest -----------------------------------------------------------------------------

TEST_F(MonkeyQueues, CommandsInWordsLetTheOthersRun) {
  wordexp_t words{};
  int turns = 0;
  bool over = false;
  auto ticker = fern::spawn([&] {
    for (; !over; ++turns) fern::sleep(1ms);
  });
  EXPECT_EQ(wordexp("a $(sleep 0.1; echo b c) `echo d`", &words, 0), 0);
  over = true;
  EXPECT_GT(turns, 3);
  ASSERT_EQ(words.we_wordc, 4u);
  EXPECT_STREQ(words.we_wordv[3], "d");
  wordfree(&words);
  EXPECT_EQ(wordexp("$(true)", &words, WRDE_NOCMD), WRDE_CMDSUB);
  ticker.join();
}

TEST_F(MonkeyQueues, SettingATerminalWaitsForWhatWasWritten) {
  int keyboard = -1;
  int terminal = -1;
  ASSERT_EQ(openpty(&keyboard, &terminal, nullptr, nullptr, nullptr), 0);
  termios settings{};
  ASSERT_EQ(tcgetattr(terminal, &settings), 0);
  EXPECT_EQ(tcsetattr(terminal, TCSADRAIN, &settings), 0);
  EXPECT_EQ(tcsetattr(terminal, TCSAFLUSH, &settings), 0);
  Pair pair;
  ASSERT_EQ(write(pair[0], "x", 1), 1);
  expect_as_native("a socket", [&] { return tcsetattr(pair[0], TCSADRAIN, &settings); });
  expect_as_native("a socket", [&] { return tcdrain(pair[0]); });
  expect_as_native("no descriptor", [&] { return tcsetattr(-1, TCSADRAIN, &settings); });
  close(keyboard);
  close(terminal);
}

}  // namespace
