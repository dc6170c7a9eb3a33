// read, write and their kin park their greenlet on pipes, terminals and whatever else can be waited
// for, and say what the native ones say.

#include "monkey/patched.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

class MonkeyIoCalls : public MonkeyTest {};

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(0);
    close(1);
  }
  void close(int i) {
    if (ends[i] >= 0) ::close(ends[i]);
    ends[i] = -1;
  }
  int ends[2];
};

// A descriptor that closes itself.
struct Own {
  explicit Own(int number) : fd(number) { EXPECT_GE(fd, 0) << std::strerror(errno); }
  Own(const Own&) = delete;
  Own& operator=(const Own&) = delete;
  ~Own() { ::close(fd); }
  int fd;
};

// Both sides of a terminal, without lines and echo.
struct Terminal {
  Terminal() : master(posix_openpt(O_RDWR | O_NOCTTY)) {
    grantpt(master);
    unlockpt(master);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    EXPECT_GE(slave, 0);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    close(slave);
    close(master);
  }
  void raw(cc_t least, cc_t tenths) const {
    termios settings{};
    tcgetattr(slave, &settings);
    cfmakeraw(&settings);
    settings.c_cc[VMIN] = least;
    settings.c_cc[VTIME] = tenths;
    tcsetattr(slave, TCSANOW, &settings);
  }
  int master;
  int slave;
};

struct IgnoredSigpipe {
  IgnoredSigpipe() : before(std::signal(SIGPIPE, SIG_IGN)) {}
  IgnoredSigpipe(const IgnoredSigpipe&) = delete;
  IgnoredSigpipe& operator=(const IgnoredSigpipe&) = delete;
  ~IgnoredSigpipe() { std::signal(SIGPIPE, before); }
  void (*before)(int);
};

std::string read_all(int fd) {
  std::string all;
  char part[5000];
  for (;;) {
    ssize_t got = read(fd, part, sizeof part);
    if (got <= 0) return all;
    all.append(part, static_cast<std::size_t>(got));
  }
}

TEST_F(MonkeyIoCalls, AReaderOfAPipeLetsTheWriterRun) {
  Pipe pipe;
  auto reader = fern::spawn([&] {
    char bytes[8];
    EXPECT_EQ(read(pipe.ends[0], bytes, sizeof bytes), 3);
    EXPECT_EQ(std::string(bytes, 3), "abc");
    EXPECT_EQ(read(pipe.ends[0], bytes, sizeof bytes), 0);
  });
  fern::yield();
  EXPECT_EQ(write(pipe.ends[1], "abc", 3), 3);
  fern::yield();
  pipe.close(1);
  reader.join();
}

TEST_F(MonkeyIoCalls, ABlockingWriteTakesEverything) {
  Pipe pipe;
  std::string sent(1 << 20, 'w');
  auto writer = fern::spawn([&] {
    EXPECT_EQ(write(pipe.ends[1], sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
    pipe.close(1);
  });
  EXPECT_TRUE(read_all(pipe.ends[0]) == sent);
  writer.join();
}

TEST_F(MonkeyIoCalls, ABlockingWritevTakesEverythingInItsOrder) {
  Pipe pipe;
  std::vector<std::string> sent;
  std::vector<iovec> parts;
  std::string all;
  for (std::size_t i = 0; i < 60; ++i) {
    sent.emplace_back(i * 97, static_cast<char>('a' + i % 26));
    all += sent.back();
  }
  for (std::string& part : sent) parts.push_back({part.data(), part.size()});
  auto writer = fern::spawn([&] {
    EXPECT_EQ(writev(pipe.ends[1], parts.data(), static_cast<int>(parts.size())),
              static_cast<ssize_t>(all.size()));
    pipe.close(1);
  });
  EXPECT_TRUE(read_all(pipe.ends[0]) == all);
  writer.join();
}

TEST_F(MonkeyIoCalls, WritesOfUpToPipeBufAreNeverMixed) {
  Pipe pipe;
  auto write_many = [&](char what) {
    std::string record(PIPE_BUF, what);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(write(pipe.ends[1], record.data(), record.size()), PIPE_BUF);
    }
  };
  auto first = fern::spawn(write_many, '1');
  auto second = fern::spawn(write_many, '2');
  for (int i = 0; i < 100; ++i) {
    std::string record(PIPE_BUF, '\0');
    iovec part{record.data(), record.size()};
    std::size_t got = 0;
    while (got < record.size()) {
      ssize_t more =
          read(pipe.ends[0], record.data() + got, std::min<std::size_t>(1000, record.size() - got));
      ASSERT_GT(more, 0);
      got += static_cast<std::size_t>(more);
    }
    EXPECT_EQ(record, std::string(PIPE_BUF, record[0])) << part.iov_len;
  }
  fern::joinall({first, second});
}

TEST_F(MonkeyIoCalls, AWriteThatLosesItsReaderSaysWhatWentFirst) {
  IgnoredSigpipe ignored;
  Pipe pipe;
  std::string much(1 << 20, 'w');
  ssize_t wrote = 0;
  auto writer = fern::spawn([&] { wrote = write(pipe.ends[1], much.data(), much.size()); });
  fern::yield();
  pipe.close(0);
  writer.join();
  EXPECT_EQ(wrote, 65536);
  EXPECT_EQ(write(pipe.ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(MonkeyIoCalls, WhatItsOwnerMadeNonBlockingSaysSo) {
  Pipe pipe;
  fcntl(pipe.ends[0], F_SETFL, O_NONBLOCK);
  fcntl(pipe.ends[1], F_SETFL, O_NONBLOCK);
  char byte;
  EXPECT_EQ(read(pipe.ends[0], &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  std::string much(1 << 20, 'w');
  EXPECT_EQ(write(pipe.ends[1], much.data(), much.size()), 65536);
  EXPECT_EQ(write(pipe.ends[1], much.data(), much.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(MonkeyIoCalls, AKillEndsAReadWithEcanceledAndAWriteWithWhatWent) {
  Pipe pipe;
  int error = 0;
  auto reader = fern::spawn([&] {
    char byte;
    EXPECT_EQ(read(pipe.ends[0], &byte, 1), -1);
    error = errno;
  });
  fern::yield();
  reader.kill();
  EXPECT_EQ(error, ECANCELED);
  std::string much(1 << 20, 'w');
  ssize_t wrote = 0;
  auto writer = fern::spawn([&] { wrote = write(pipe.ends[1], much.data(), much.size()); });
  fern::yield();
  writer.kill();
  EXPECT_EQ(wrote, 65536);
}

TEST_F(MonkeyIoCalls, SocketsAreReadAndWritten) {
  Pair pair;
  auto reader = fern::spawn([&] {
    char bytes[8];
    iovec parts[2] = {{bytes, 2}, {bytes + 2, 6}};
    EXPECT_EQ(readv(pair[0], parts, 2), 3);
    EXPECT_EQ(std::string(bytes, 3), "abc");
    EXPECT_EQ(read(pair[0], bytes, sizeof bytes), 0);
  });
  fern::yield();
  iovec part{const_cast<char*>("abc"), 3};
  EXPECT_EQ(writev(pair[1], &part, 1), 3);
  fern::yield();
  pair.close(1);
  reader.join();
}

TEST_F(MonkeyIoCalls, AReadOfASocketEndsAtItsTimeLimit) {
  Pair pair;
  timeval limit{0, 20'000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char byte;
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(read(pair[0], &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
}

TEST_F(MonkeyIoCalls, ANumberThatWasASocketMayBeAPipe) {
  int number;
  {
    Pair pair;
    number = pair[0];
    EXPECT_EQ(write(pair[1], "ab", 2), 2);
    char bytes[8];
    EXPECT_EQ(read(pair[0], bytes, sizeof bytes), 2);
    // Behind our back.
    syscall(SYS_close, pair[0]);
    pair.ends[0] = -1;
  }
  Pipe pipe;
  ASSERT_EQ(pipe.ends[0], number);
  EXPECT_EQ(write(pipe.ends[1], "xyz", 3), 3);
  char bytes[8];
  EXPECT_EQ(read(pipe.ends[0], bytes, sizeof bytes), 3);
}

TEST_F(MonkeyIoCalls, AnEventfdIsWaitedForInBothDirections) {
  Own event(eventfd(0, 0));
  auto reader = fern::spawn([&] {
    eventfd_t value = 0;
    EXPECT_EQ(eventfd_read(event.fd, &value), 0);
    EXPECT_EQ(value, 7U);
  });
  fern::yield();
  EXPECT_EQ(eventfd_write(event.fd, 7), 0);
  reader.join();
  EXPECT_EQ(eventfd_write(event.fd, 0xfffffffffffffffe), 0);
  auto writer = fern::spawn([&] { EXPECT_EQ(eventfd_write(event.fd, 1), 0); });
  fern::yield();
  EXPECT_FALSE(writer.ready());
  eventfd_t value = 0;
  EXPECT_EQ(eventfd_read(event.fd, &value), 0);
  writer.join();
  char few[4];
  EXPECT_EQ(read(event.fd, few, sizeof few), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(MonkeyIoCalls, ATimerAndASignalAndANoticeAreWaitedFor) {
  Own timer(timerfd_create(CLOCK_MONOTONIC, 0));
  itimerspec soon{};
  soon.it_value.tv_nsec = 5'000'000;
  timerfd_settime(timer.fd, 0, &soon, nullptr);
  auto begin = std::chrono::steady_clock::now();
  std::uint64_t times = 0;
  EXPECT_EQ(read(timer.fd, &times, sizeof times), 8);
  EXPECT_EQ(times, 1U);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);

  sigset_t one;
  sigset_t before;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  Own signals(signalfd(-1, &one, 0));
  auto reader = fern::spawn([&] {
    signalfd_siginfo info{};
    EXPECT_EQ(read(signals.fd, &info, sizeof info), static_cast<ssize_t>(sizeof info));
    EXPECT_EQ(info.ssi_signo, static_cast<unsigned>(SIGUSR2));
  });
  fern::yield();
  raise(SIGUSR2);
  reader.join();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  char name[] = "/tmp/fern-inotify-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  Own notices(inotify_init());
  EXPECT_GE(inotify_add_watch(notices.fd, name, IN_DELETE_SELF), 0);
  auto watcher = fern::spawn([&] {
    alignas(inotify_event) char events[4096];
    EXPECT_GT(read(notices.fd, events, sizeof events), 0);
  });
  fern::yield();
  rmdir(name);
  watcher.join();
}

// The compiler is not to know them.
volatile std::uintptr_t bad_address = 8;
volatile int one_too_many = IOV_MAX + 1;

TEST_F(MonkeyIoCalls, WhatCannotBeReadSaysSoAtOnce) {
  char bytes[8];
  Own process(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  EXPECT_EQ(read(process.fd, bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EINVAL);
  Own directory(open("/", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(read(directory.fd, bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EISDIR);
  EXPECT_EQ(read(-1, bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EBADF);
  Pipe pipe;
  EXPECT_EQ(read(pipe.ends[1], bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EBADF);
  auto* bad = reinterpret_cast<iovec*>(bad_address);
  EXPECT_EQ(write(pipe.ends[1], bad, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(readv(pipe.ends[0], bad, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(writev(pipe.ends[1], bad, one_too_many), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(read(pipe.ends[0], bytes, 0), 0);
  EXPECT_EQ(write(pipe.ends[1], bytes, 0), 0);
}

TEST_F(MonkeyIoCalls, DevicesThatAreAlwaysReadyAreRead) {
  char bytes[8] = "1234567";
  Own zero(open("/dev/zero", O_RDWR));
  EXPECT_EQ(read(zero.fd, bytes, sizeof bytes), 8);
  EXPECT_EQ(bytes[0], '\0');
  Own null(open("/dev/null", O_RDWR));
  EXPECT_EQ(read(null.fd, bytes, sizeof bytes), 0);
  EXPECT_EQ(write(null.fd, bytes, sizeof bytes), 8);
}

TEST_F(MonkeyIoCalls, FilesAreReadAndWrittenWhole) {
  char name[] = "/tmp/fern-file-XXXXXX";
  Own file(mkstemp(name));
  unlink(name);
  std::string text(300'000, 't');
  EXPECT_EQ(write(file.fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  lseek(file.fd, 0, SEEK_SET);
  EXPECT_TRUE(read_all(file.fd) == text);
  lseek(file.fd, 0, SEEK_SET);
  std::string more(400'000, '\0');
  EXPECT_EQ(read(file.fd, more.data(), more.size()), static_cast<ssize_t>(text.size()));
}

TEST_F(MonkeyIoCalls, ATerminalGivesLines) {
  Terminal terminal;
  auto reader = fern::spawn([&] {
    char line[16];
    EXPECT_EQ(read(terminal.slave, line, sizeof line), 3);
    EXPECT_EQ(std::string(line, 3), "hi\n");
  });
  fern::yield();
  EXPECT_EQ(write(terminal.master, "hi", 2), 2);
  fern::yield();
  EXPECT_FALSE(reader.ready());
  EXPECT_EQ(write(terminal.master, "\n", 1), 1);
  reader.join();
}

TEST_F(MonkeyIoCalls, ATerminalThatIsToAnswerEmptyDoes) {
  Terminal terminal;
  char byte;
  terminal.raw(0, 0);
  EXPECT_EQ(read(terminal.slave, &byte, 1), 0);
  terminal.raw(0, 1);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(read(terminal.slave, &byte, 1), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
}

TEST_F(MonkeyIoCalls, ATerminalTakesAllOfAWrite) {
  Terminal terminal;
  terminal.raw(1, 0);
  std::string text(200'000, 'x');
  auto writer = fern::spawn([&] {
    EXPECT_EQ(write(terminal.slave, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(tcdrain(terminal.slave), 0);
  });
  std::size_t got = 0;
  char part[4096];
  while (got < text.size()) {
    ssize_t more = read(terminal.master, part, sizeof part);
    ASSERT_GT(more, 0);
    got += static_cast<std::size_t>(more);
  }
  writer.join();
}

TEST_F(MonkeyIoCalls, SpliceMovesWhatComes) {
  Pair pair;
  Pipe pipe;
  auto mover = fern::spawn([&] {
    EXPECT_EQ(splice(pair[0], nullptr, pipe.ends[1], nullptr, 100, 0), 3);
    EXPECT_EQ(splice(pipe.ends[0], nullptr, pair[0], nullptr, 100, 0), 3);
    EXPECT_EQ(splice(pipe.ends[0], nullptr, pair[0], nullptr, 100, SPLICE_F_NONBLOCK), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(splice(pair[0], nullptr, pair[0], nullptr, 100, 0), -1);
    EXPECT_EQ(errno, EINVAL);
  });
  fern::yield();
  EXPECT_EQ(send(pair[1], "abc", 3, 0), 3);
  char bytes[8];
  EXPECT_EQ(recv(pair[1], bytes, sizeof bytes, 0), 3);
  mover.join();
}

TEST_F(MonkeyIoCalls, SpliceToASocketWaitsForItsReader) {
  Pair pair;
  Pipe pipe;
  std::string text(1 << 20, 's');
  auto writer = fern::spawn([&] {
    EXPECT_EQ(write(pipe.ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    pipe.close(1);
  });
  auto mover = fern::spawn([&] {
    ssize_t moved;
    while ((moved = splice(pipe.ends[0], nullptr, pair[0], nullptr, 1 << 20, 0)) > 0) {
    }
    EXPECT_EQ(moved, 0);
    pair.close(0);
  });
  fern::sleep(1ms);
  EXPECT_TRUE(read_all(pair[1]) == text);
  fern::joinall({writer, mover});
}

TEST_F(MonkeyIoCalls, TeeAndVmspliceWaitForTheirPipes) {
  Pipe from;
  Pipe to;
  auto doubler = fern::spawn([&] { return tee(from.ends[0], to.ends[1], 100, 0); });
  fern::yield();
  EXPECT_EQ(write(from.ends[1], "ab", 2), 2);
  EXPECT_EQ(doubler.get(), 2);
  char bytes[8];
  iovec room{bytes, sizeof bytes};
  EXPECT_EQ(vmsplice(to.ends[0], &room, 1, 0), 2);
  EXPECT_EQ(std::string(bytes, 2), "ab");
  auto reader = fern::spawn([&] { return vmsplice(to.ends[0], &room, 1, 0); });
  fern::yield();
  char more[] = "cd";
  iovec part{more, 2};
  EXPECT_EQ(vmsplice(to.ends[1], &part, 1, 0), 2);
  EXPECT_EQ(reader.get(), 2);
  EXPECT_EQ(std::string(bytes, 2), "cd");
}

}  // namespace
