// Calls on regular files are made in threads, and give what the native ones give.

#include "monkey/patched.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

template <class F>
auto natively(F f) {
  decltype(f()) result{};
  std::thread([&] { result = f(); }).join();
  return result;
}

class MonkeyFiles : public MonkeyTest {
 protected:
  MonkeyFiles() {
    may_keep_heap("worker threads");
    char name[] = "/tmp/fern_files.XXXXXX";
    directory = mkdtemp(name);
    path = directory + "/file";
    fifo = directory + "/fifo";
    EXPECT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  }
  ~MonkeyFiles() override {
    unlink(path.c_str());
    unlink(fifo.c_str());
    rmdir(directory.c_str());
  }

  // A call natively and in a greenlet: result and errno, as text.
  static void expect_as_native(const char* what, const std::function<long()>& call) {
    auto said = [&] {
      errno = 0;
      long result = call();
      return std::to_string(result) + ", " + std::to_string(result < 0 ? errno : 0);
    };
    EXPECT_EQ(fern::spawn(said).get(), natively(said)) << what;
  }

  std::string directory;
  std::string path;
  std::string fifo;
};

long opened(const char* path, int flags, mode_t mode = 0) {
  int fd = open(path, flags, mode);
  if (fd < 0) return fd;
  struct stat what{};
  fstat(fd, &what);
  long said = (static_cast<long>(what.st_mode) << 32) | fcntl(fd, F_GETFL);
  int saved = errno;
  close(fd);
  errno = saved;
  return said;
}

TEST_F(MonkeyFiles, OpeningSaysWhatItSaysNatively) {
  const char* file = path.c_str();
  const char* folder = directory.c_str();
  std::string endless(5000, 'x');
  expect_as_native("none", [&] { return opened(file, O_RDONLY); });
  expect_as_native("made", [&] {
    unlink(file);
    return opened(file, O_CREAT | O_EXCL | O_RDWR | O_APPEND, 0751);
  });
  expect_as_native("exists", [&] { return opened(file, O_CREAT | O_EXCL | O_RDWR, 0600); });
  expect_as_native("non-blocking", [&] { return opened(file, O_RDONLY | O_NONBLOCK); });
  expect_as_native("truncated", [&] { return opened(file, O_WRONLY | O_TRUNC); });
  expect_as_native("a path only", [&] { return opened(file, O_PATH); });
  expect_as_native("no folder", [&] { return opened(file, O_RDONLY | O_DIRECTORY); });
  expect_as_native("a folder", [&] { return opened(folder, O_RDONLY | O_DIRECTORY); });
  expect_as_native("writing a folder", [&] { return opened(folder, O_RDWR); });
  expect_as_native("nameless", [&] { return opened(folder, O_TMPFILE | O_RDWR, 0600); });
  expect_as_native("too long", [&] { return opened(endless.c_str(), O_RDONLY); });
  expect_as_native("empty", [&] { return opened("", O_RDONLY); });
  int (*volatile open_anything)(const char*, int, ...) = open;
  expect_as_native("nowhere", [&] { return open_anything(nullptr, O_RDONLY); });
  expect_as_native("a device", [&] { return opened("/dev/null", O_RDWR); });
  expect_as_native("FIFO without a reader",
                   [&] { return opened(fifo.c_str(), O_WRONLY | O_NONBLOCK); });
  expect_as_native("FIFO both ways", [&] { return opened(fifo.c_str(), O_RDWR | O_NONBLOCK); });
  expect_as_native("creat", [&] {
    int fd = creat(file, 0600);
    int flags = fcntl(fd, F_GETFL);
    close(fd);
    return flags;
  });
  expect_as_native("openat", [&] {
    int at = open(folder, O_RDONLY | O_DIRECTORY);
    int fd = openat(at, "file", O_RDONLY);
    close(at);
    close(fd);
    return fd >= 0 ? 0 : -1;
  });
  expect_as_native("openat nowhere", [&] { return openat(-7, "file", O_RDONLY); });
}

TEST_F(MonkeyFiles, TheEndsOfAFifoWaitForEachOther) {
  auto reader = fern::spawn([&] { return open(fifo.c_str(), O_RDONLY); });
  fern::sleep(1ms);
  EXPECT_FALSE(reader.ready());
  int writing = open(fifo.c_str(), O_WRONLY);
  int reading = reader.get();
  EXPECT_GE(reading, 0);
  EXPECT_GE(writing, 0);
  EXPECT_EQ(fcntl(reading, F_GETFL) & O_NONBLOCK, 0);
  close(reading);
  close(writing);
}

TEST_F(MonkeyFiles, AKillEndsTheWaitForAFifosOtherEnd) {
  auto reader = fern::spawn([&] {
    EXPECT_EQ(open(fifo.c_str(), O_RDONLY), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  fern::sleep(5ms);
  reader.kill();
  EXPECT_TRUE(reader.killed());
  // A writer lets the thread go that still waits, if it got that far; what it opened is closed.
  int writing = -1;
  for (int i = 0; i < 100 && writing < 0; ++i) {
    writing = open(fifo.c_str(), O_WRONLY | O_NONBLOCK);
    if (writing < 0) fern::sleep(1ms);
  }
  ASSERT_GE(writing, 0);
  pollfd one{writing, 0, 0};
  do {
    fern::sleep(1ms);
    fern::monkey::native_scope native;
    ::poll(&one, 1, 0);
  } while ((one.revents & POLLERR) == 0);
  close(writing);
}

TEST_F(MonkeyFiles, ReadingAtAnOffsetSaysWhatItSaysNatively) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  std::string text(200'000, 'a');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  ASSERT_EQ(pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  std::vector<char> buffer(300'000);
  auto sum = [&] {
    unsigned long all = 0;
    for (char each : buffer) all = all * 31 + static_cast<unsigned char>(each);
    return static_cast<long>(all & 0xffffff);
  };
  for (long offset : {0L, 1L, 4095L, 100'000L, 199'999L, 200'000L, 300'000L, -1L, -5L}) {
    for (std::size_t size : {0UL, 1UL, 5000UL, 300'000UL}) {
      expect_as_native("pread", [&] {
        std::fill(buffer.begin(), buffer.end(), '\0');
        long got = pread(fd, buffer.data(), size, offset);
        return got < 0 ? got : got + (sum() << 32);
      });
      iovec parts[] = {{buffer.data(), size / 2}, {buffer.data() + 100'000, size - size / 2}};
      expect_as_native("preadv", [&] {
        std::fill(buffer.begin(), buffer.end(), '\0');
        long got = preadv(fd, parts, 2, offset);
        return got < 0 ? got : got + (sum() << 32);
      });
      expect_as_native("preadv2", [&] {
        lseek(fd, 7, SEEK_SET);
        std::fill(buffer.begin(), buffer.end(), '\0');
        long got = preadv2(fd, parts, 2, offset, 0);
        return got < 0 ? got : got + (sum() << 32) + lseek(fd, 0, SEEK_CUR);
      });
    }
  }
  close(fd);
}

TEST_F(MonkeyFiles, ReadingOnSaysWhatItSaysNatively) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  std::string text(500'000, 't');
  ASSERT_EQ(pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(fsync(fd), 0);
  auto read_on = [&] {
    posix_fadvise(fd, 100'000, 200'000, POSIX_FADV_DONTNEED);  // a part is not in memory
    lseek(fd, 3, SEEK_SET);
    std::vector<char> buffer(300'000);
    iovec parts[] = {{buffer.data(), 100}, {buffer.data(), 0}, {buffer.data() + 100, 250'000}};
    std::string said;
    for (int i = 0; i < 4; ++i) {
      said += std::to_string(read(fd, buffer.data(), 100'000)) + " ";
      said += std::to_string(readv(fd, parts, 3)) + " " + std::to_string(lseek(fd, 0, SEEK_CUR));
      said += buffer[250'099] == 't' ? "t, " : "?, ";
    }
    return said;
  };
  EXPECT_EQ(fern::spawn(read_on).get(), natively(read_on));
  close(fd);
}

TEST_F(MonkeyFiles, WhatGreenletsAppendIsNotMixed) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
  constexpr std::size_t size = 10'000;
  std::vector<fern::Greenlet<void>> writers;
  for (char letter = 'a'; letter < 'a' + 20; ++letter) {
    writers.push_back(fern::spawn([=] {
      std::string text(size, letter);
      EXPECT_EQ(write(fd, text.data(), size), static_cast<ssize_t>(size));
    }));
  }
  fern::joinall(writers);
  std::string all(20 * size, '\0');
  ASSERT_EQ(pread(fd, all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  for (std::size_t at = 0; at < all.size(); at += size) {
    EXPECT_EQ(all.substr(at, size), std::string(size, all[at])) << "at " << at;
  }
  close(fd);
}

TEST_F(MonkeyFiles, WhatIsNotInMemoryIsReadByAThread) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  std::string text(1 << 20, 'd');
  ASSERT_EQ(pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(fsync(fd), 0);
  ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  std::string got(2 << 20, '\0');
  EXPECT_EQ(pread(fd, got.data(), got.size(), 0), static_cast<ssize_t>(text.size()));
  got.resize(text.size());
  EXPECT_EQ(got, text);
  close(fd);
}

TEST_F(MonkeyFiles, CallsOnWhatTheyAreNotForFailAsNatively) {
  Pair pair;
  char byte = 'x';
  iovec one{&byte, 1};
  for (int fd : {-1, 4000, pair[0]}) {
    expect_as_native("pread", [&] { return pread(fd, &byte, 1, 0); });
    expect_as_native("pwrite", [&] { return pwrite(fd, &byte, 1, 0); });
    expect_as_native("preadv", [&] { return preadv(fd, &one, 1, 0); });
    expect_as_native("pwritev", [&] { return pwritev(fd, &one, 1, 0); });
    expect_as_native("preadv2", [&] { return preadv2(fd, &one, 1, 0, 0); });
    expect_as_native("pwritev2", [&] { return pwritev2(fd, &one, 1, 0, 0); });
    expect_as_native("fsync", [&] { return fsync(fd); });
    expect_as_native("fdatasync", [&] { return fdatasync(fd); });
    expect_as_native("sync_file_range", [&] { return sync_file_range(fd, 0, 0, 0); });
    expect_as_native("flock", [&] { return flock(fd, 77); });
    expect_as_native("lockf", [&] { return lockf(fd, F_TLOCK, 0); });
  }
  int fd = open(path.c_str(), O_RDONLY | O_CREAT, 0600);
  expect_as_native("pwrite", [&] { return pwrite(fd, &byte, 1, 0); });
  ssize_t (*volatile pread_anywhere)(int, void*, std::size_t, off_t) = pread;
  expect_as_native("nowhere", [&] { return pread_anywhere(fd, nullptr, 10, 0); });
  expect_as_native("too many parts", [&] { return preadv(fd, &one, 5000, 0); });
  expect_as_native("unknown flag", [&] { return preadv2(fd, &one, 1, 0, 0x8000); });
  expect_as_native("syncfs", [&] { return syncfs(fd); });
  expect_as_native("msync", [&] { return msync(&byte, 1, MS_SYNC); });
  close(fd);
}

TEST_F(MonkeyFiles, AKillWaitsUntilTheFileIsWritten) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  std::string text(1 << 20, 'w');
  ssize_t written = 0;
  auto writer = fern::spawn([&] {
    written = pwrite(fd, text.data(), text.size(), 0);
    written += pwrite(fd, "x", 1, 0);
    EXPECT_EQ(usleep(1), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  fern::yield();
  writer.kill();
  EXPECT_EQ(written, static_cast<ssize_t>(text.size()) + 1);
  EXPECT_TRUE(writer.killed());
  close(fd);
}

// --- what makes room and copies

TEST_F(MonkeyFiles, CopyingAndMakingRoomLetTheOthersRun) {
  int from = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  int to = open(directory.c_str(), O_RDWR | O_TMPFILE, 0600);
  if (to < 0) GTEST_SKIP() << "no files without a name here";
  std::string text(1 << 20, 'c');
  ASSERT_EQ(pwrite(from, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  auto expect_parks = [&](const char* what, long result, const std::function<long()>& call) {
    auto caller = fern::spawn(call);
    fern::yield();
    EXPECT_FALSE(caller.ready()) << what;
    EXPECT_EQ(caller.get(), result) << what;
  };
  off64_t at = 1;
  expect_parks("copy_file_range", 1000,
               [&] { return copy_file_range(from, &at, to, nullptr, 1000, 0); });
  EXPECT_EQ(at, 1001);
  EXPECT_EQ(lseek(to, 0, SEEK_CUR), 1000);
  expect_parks("ftruncate", 0, [&] { return ftruncate(to, 5000); });
  expect_parks("posix_fallocate", 0, [&] { return posix_fallocate(to, 0, 10'000); });
  expect_parks("truncate", 0, [&] { return truncate(path.c_str(), 77); });
  struct stat what{};
  EXPECT_EQ(fstat(to, &what), 0);
  EXPECT_EQ(what.st_size, 10'000);
  EXPECT_EQ(fstat(from, &what), 0);
  EXPECT_EQ(what.st_size, 77);
  expect_as_native("copy from nothing",
                   [&] { return copy_file_range(-1, nullptr, to, nullptr, 9, 0); });
  expect_as_native("copy from a pipe",
                   [&] { return copy_file_range(0, nullptr, to, nullptr, 9, 77); });
  expect_as_native("copy at the end", [&] {
    off64_t end = 77;
    return copy_file_range(from, &end, to, nullptr, 9, 0);
  });
  expect_as_native("fallocate", [&] { return fallocate(to, 0, 0, 4096); });
  expect_as_native("fallocate of nothing", [&] { return fallocate(to, 0, 0, 0); });
  expect_as_native("posix_fallocate of nothing", [&] { return posix_fallocate(to, 0, 0); });
  expect_as_native("truncate nowhere", [&] { return truncate("/nowhere/at/all", 0); });

  expect_as_native("ftruncate below nothing", [&] { return ftruncate(to, -1); });
  close(from);
  close(to);
}

TEST_F(MonkeyFiles, OpeningAFifoAsAFileParks) {
  for (const char* mode : {"r", "rb", "re"}) {
    auto reader = fern::spawn([&] { return fopen(fifo.c_str(), mode); });
    fern::sleep(1ms);
    EXPECT_FALSE(reader.ready());
    FILE* writing = fopen(fifo.c_str(), "w");
    FILE* reading = reader.get();
    ASSERT_NE(writing, nullptr);
    ASSERT_NE(reading, nullptr);
    EXPECT_EQ((fcntl(fileno(reading), F_GETFD) & FD_CLOEXEC) != 0, mode[1] == 'e');
    EXPECT_EQ(fputs("words", writing), 1);
    fclose(writing);
    char words[8] = "";
    EXPECT_EQ(fread(words, 1, sizeof words, reading), 5u);
    EXPECT_STREQ(words, "words");
    fclose(reading);
  }
  auto killed = fern::spawn([&] {
    EXPECT_EQ(fopen(fifo.c_str(), "a"), nullptr);
    EXPECT_EQ(errno, ECANCELED);
  });
  fern::sleep(1ms);
  killed.kill();
  EXPECT_TRUE(killed.killed());
  close(open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  auto opened_as = [](const char* name, const char* as) {
    FILE* file = fopen(name, as);
    if (file == nullptr) return -1L;
    long place = ftell(file);
    fclose(file);
    return place;
  };
  expect_as_native("no mode", [&] { return opened_as(path.c_str(), "q"); });
  expect_as_native("nowhere", [&] { return opened_as("/nowhere/at/all", "r"); });
  expect_as_native("append", [&] { return opened_as(path.c_str(), "a"); });
  expect_as_native("exclusive", [&] { return opened_as(fifo.c_str(), "wx"); });
}

// --- locks

TEST_F(MonkeyFiles, AFlockParksUntilItsHolderLetsGo) {
  int first = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  int second = open(path.c_str(), O_RDWR);
  ASSERT_EQ(flock(first, LOCK_EX), 0);
  EXPECT_EQ(flock(second, LOCK_EX | LOCK_NB), -1);
  EXPECT_EQ(errno, EWOULDBLOCK);
  auto waiter = fern::spawn([&] { return flock(second, LOCK_SH); });
  fern::sleep(5ms);
  EXPECT_FALSE(waiter.ready());
  ASSERT_EQ(flock(first, LOCK_UN), 0);
  EXPECT_EQ(waiter.get(), 0);
  close(first);
  close(second);
}

TEST_F(MonkeyFiles, AKillEndsTheWaitForALock) {
  int first = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  int second = open(path.c_str(), O_RDWR);
  ASSERT_EQ(flock(first, LOCK_EX), 0);
  auto waiter = fern::spawn([&] {
    EXPECT_EQ(flock(second, LOCK_EX), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  fern::sleep(5ms);
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  close(first);
  close(second);
}

// Such a lock is a process's: another one has it until the pipe is closed.
TEST_F(MonkeyFiles, ALockfParksUntilAnotherProcessLetsGo) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  int hold[2];
  int told[2];
  ASSERT_EQ(pipe2(hold, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(told, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) {
    close(hold[1]);
    struct flock all{};
    all.l_type = F_WRLCK;
    syscall(SYS_fcntl, fd, F_SETLK, &all);
    syscall(SYS_write, told[1], "", 1);
    char byte;
    syscall(SYS_read, hold[0], &byte, 1);
    _exit(0);
  }
  char byte;
  ASSERT_EQ(syscall(SYS_read, told[0], &byte, 1), 1);
  EXPECT_EQ(lockf(fd, F_TLOCK, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  auto waiter = fern::spawn([&] { return lockf(fd, F_LOCK, 0); });
  fern::sleep(5ms);
  EXPECT_FALSE(waiter.ready());
  close(hold[1]);
  EXPECT_EQ(waiter.get(), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  for (int each : {hold[0], told[0], told[1], fd}) close(each);
}

}  // namespace
