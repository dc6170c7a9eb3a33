// Wrapped calls of sockets park their greenlet, and say what the native ones say.

#include "monkey/patched.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

class MonkeySockets : public MonkeyTest {};

int listener(sockaddr_in& address) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(fd, 16), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  return fd;
}

TEST_F(MonkeySockets, AReceiverLetsTheSenderRun) {
  Pair pair;
  std::string order;
  auto receiver = fern::spawn([&] {
    char byte = 0;
    order += "r";
    EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
    order += byte;
  });
  fern::yield();
  order += "s";
  EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
  receiver.join();
  EXPECT_EQ(order, "rsx");
}

TEST_F(MonkeySockets, ABlockingSendTakesEverything) {
  Pair pair;
  std::string sent(1 << 20, 's');
  auto sender = fern::spawn([&] { return send(pair[0], sent.data(), sent.size(), 0); });
  std::string got;
  std::vector<char> part(65536);
  while (got.size() < sent.size()) {
    ssize_t size = recv(pair[1], part.data(), part.size(), 0);
    ASSERT_GT(size, 0);
    got.append(part.data(), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(sender.get(), static_cast<ssize_t>(sent.size()));
  EXPECT_EQ(got, sent);
}

TEST_F(MonkeySockets, WhatItsOwnerMadeNonBlockingSaysSo) {
  Pair pair;
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(fcntl(pair[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(MonkeySockets, ReceivingEndsAtItsTimeLimitWithWhatCame) {
  Pair pair;
  timeval limit{0, 20'000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char bytes[4];
  EXPECT_EQ(recv(pair[0], bytes, sizeof bytes, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  send(pair[1], "ab", 2, 0);
  EXPECT_EQ(recv(pair[0], bytes, sizeof bytes, MSG_WAITALL), 2);
}

TEST_F(MonkeySockets, ConnectAndAcceptPark) {
  sockaddr_in address;
  int fd = listener(address);
  auto server = fern::spawn([&] {
    int accepted = accept(fd, nullptr, nullptr);
    EXPECT_GE(accepted, 0);
    EXPECT_EQ(fcntl(accepted, F_GETFL) & O_NONBLOCK, 0);
    send(accepted, "hello", 5, 0);
    close(accepted);
  });
  fern::yield();
  int client = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
  char bytes[8];
  EXPECT_EQ(recv(client, bytes, sizeof bytes, MSG_WAITALL), 5);
  server.join();
  close(client);
  close(fd);
}

TEST_F(MonkeySockets, ConnectingToNobodyIsRefused) {
  sockaddr_in address;
  close(listener(address));
  int client = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  close(client);
}

TEST_F(MonkeySockets, ARefusedSocketIsRefusedAgainAndTakesAnotherAddress) {
  sockaddr_in nobody;
  close(listener(nobody));
  int client = socket(AF_INET, SOCK_STREAM, 0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&nobody), sizeof nobody), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
  }
  sockaddr_in somebody;
  int fd = listener(somebody);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&somebody), sizeof somebody), 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&somebody), sizeof somebody), -1);
  EXPECT_EQ(errno, EISCONN);
  close(client);
  close(fd);
}

TEST_F(MonkeySockets, ANonBlockingConnectDoesNotWait) {
  sockaddr_in address;
  int fd = listener(address);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  pollfd one{client, POLLOUT, 0};
  EXPECT_EQ(poll(&one, 1, -1), 1);
  int error = -1;
  socklen_t size = sizeof error;
  getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size);
  EXPECT_EQ(error, 0);
  EXPECT_NE(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
  close(client);
  close(fd);
}

// A listener of TCP whose queue is full answers nobody: a connect to it hangs.
struct FullListener {
  FullListener() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd, 0), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    for (int i = 0; i < 3; ++i) {
      fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      ::connect(fillers.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  ~FullListener() {
    for (int filler : fillers) close(filler);
    close(fd);
  }
  int fd;
  sockaddr_in address{};
  std::vector<int> fillers;
};

TEST_F(MonkeySockets, AConnectThatHangsEndsAtItsTimeLimitOrWithAKill) {
  FullListener full;
  int client = socket(AF_INET, SOCK_STREAM, 0);
  timeval limit{0, 30'000};
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  auto* address = reinterpret_cast<sockaddr*>(&full.address);
  EXPECT_EQ(::connect(client, address, sizeof full.address), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  EXPECT_EQ(::connect(client, address, sizeof full.address), -1);
  EXPECT_EQ(errno, EALREADY);
  EXPECT_EQ(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
  close(client);
  client = socket(AF_INET, SOCK_STREAM, 0);
  int error = 0;
  auto victim = fern::spawn([&] {
    EXPECT_EQ(::connect(client, address, sizeof full.address), -1);
    error = errno;
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(error, ECANCELED);
  close(client);
}

TEST_F(MonkeySockets, ConnectingDatagramsIsDoneAtOnce) {
  int server = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(server, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(server, reinterpret_cast<sockaddr*>(&address), &size);
  int client = socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), size), 0);
  close(client);
  close(server);
}

// A unix address that no file stands for.
sockaddr_un abstract_address() {
  static int count = 0;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = "fern-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  return address;
}

TEST_F(MonkeySockets, AConnectToAFullUnixListenerWaitsForRoom) {
  sockaddr_un address = abstract_address();
  auto* name = reinterpret_cast<sockaddr*>(&address);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, name, sizeof address), 0);
  ASSERT_EQ(listen(fd, 0), 0);
  int first = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(first, name, sizeof address), 0);
  int second = socket(AF_UNIX, SOCK_STREAM, 0);
  timeval limit{0, 10'000};
  setsockopt(second, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  EXPECT_EQ(::connect(second, name, sizeof address), -1);
  EXPECT_EQ(errno, EAGAIN);
  limit = {};
  setsockopt(second, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  auto client = fern::spawn([&] { return ::connect(second, name, sizeof address); });
  fern::yield();
  EXPECT_FALSE(client.ready());
  close(accept(fd, nullptr, nullptr));
  EXPECT_EQ(client.get(), 0);
  for (int one : {first, second, fd}) close(one);
}

TEST_F(MonkeySockets, ADatagramToAFullReceiverWaitsForRoom) {
  sockaddr_un address = abstract_address();
  auto* name = reinterpret_cast<sockaddr*>(&address);
  int receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
  ASSERT_EQ(bind(receiver, name, sizeof address), 0);
  int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
  int sent = 0;
  while (sendto(sender, "x", 1, MSG_DONTWAIT, name, sizeof address) == 1) ++sent;
  auto one_more = fern::spawn([&] { return sendto(sender, "y", 1, 0, name, sizeof address); });
  fern::sleep(5ms);
  EXPECT_FALSE(one_more.ready());
  char byte;
  for (int i = 0; i < sent + 1; ++i) EXPECT_EQ(recv(receiver, &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_EQ(one_more.get(), 1);
  close(sender);
  close(receiver);
}

// Buffers of one byte each, as recvmmsg and sendmmsg have them.
struct Messages {
  explicit Messages(std::size_t count) : bytes(count, '.'), parts(count), all(count) {
    for (std::size_t i = 0; i < count; ++i) {
      parts[i] = {&bytes[i], 1};
      all[i].msg_hdr.msg_iov = &parts[i];
      all[i].msg_hdr.msg_iovlen = 1;
    }
  }
  unsigned size() const { return static_cast<unsigned>(all.size()); }
  std::string bytes;
  std::vector<iovec> parts;
  std::vector<mmsghdr> all;
};

TEST_F(MonkeySockets, RecvmmsgWaitsForAllOrForOne) {
  Pair pair(SOCK_DGRAM);
  Messages four(4);
  auto receiver = fern::spawn([&] { return recvmmsg(pair[0], four.all.data(), 4, 0, nullptr); });
  for (const char* byte : {"a", "b", "c"}) {
    fern::yield();
    EXPECT_EQ(send(pair[1], byte, 1, 0), 1);
  }
  fern::sleep(1ms);
  EXPECT_FALSE(receiver.ready());
  EXPECT_EQ(send(pair[1], "d", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 4);
  EXPECT_EQ(four.bytes, "abcd");
  auto one =
      fern::spawn([&] { return recvmmsg(pair[0], four.all.data(), 4, MSG_WAITFORONE, nullptr); });
  fern::yield();
  EXPECT_EQ(send(pair[1], "e", 1, 0), 1);
  EXPECT_EQ(send(pair[1], "f", 1, 0), 1);
  EXPECT_EQ(one.get(), 2);
}

TEST_F(MonkeySockets, RecvmmsgsTimeIsLookedAtBetweenMessages) {
  Pair pair(SOCK_DGRAM);
  Messages four(4);
  EXPECT_EQ(send(pair[1], "a", 1, 0), 1);
  EXPECT_EQ(send(pair[1], "b", 1, 0), 1);
  timespec none{};
  EXPECT_EQ(recvmmsg(pair[0], four.all.data(), 4, 0, &none), 1);
  timespec some{100, 0};
  EXPECT_EQ(recvmmsg(pair[0], four.all.data(), 1, 0, &some), 1);
  EXPECT_LE(some.tv_sec, 100);
  EXPECT_GE(some.tv_sec, 1);
  timespec little{0, 10'000'000};
  auto receiver = fern::spawn([&] { return recvmmsg(pair[0], four.all.data(), 4, 0, &little); });
  fern::sleep(15ms);
  EXPECT_FALSE(receiver.ready());
  EXPECT_EQ(send(pair[1], "c", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 1);
  timespec bad{0, -1};
  EXPECT_EQ(recvmmsg(pair[0], four.all.data(), 4, 0, &bad), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(MonkeySockets, SendmmsgSendsAllOfAllMessages) {
  Pair pair;
  std::string text(400'000, 's');
  std::vector<iovec> parts(5, iovec{text.data(), text.size()});
  std::vector<mmsghdr> messages(5);
  for (std::size_t i = 0; i < 5; ++i) {
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  auto sender = fern::spawn([&] {
    int sent = sendmmsg(pair[0], messages.data(), 5, 0);
    pair.close(0);
    return sent;
  });
  std::size_t got = 0;
  std::vector<char> part(65536);
  while (ssize_t size = recv(pair[1], part.data(), part.size(), 0)) {
    ASSERT_GT(size, 0);
    got += static_cast<std::size_t>(size);
  }
  EXPECT_EQ(sender.get(), 5);
  EXPECT_EQ(got, 5 * text.size());
  for (const mmsghdr& message : messages) EXPECT_EQ(message.msg_len, text.size());
}

TEST_F(MonkeySockets, SendfileSendsTheWholeFile) {
  char name[] = "/tmp/fern-sendfile-XXXXXX";
  int file = mkstemp(name);
  unlink(name);
  std::string text(1 << 20, 'f');
  EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  Pair pair;
  off_t offset = 10;
  auto sender = fern::spawn([&] {
    EXPECT_EQ(sendfile(pair[0], file, &offset, 2 * text.size()),
              static_cast<ssize_t>(text.size() - 10));
    pair.close(0);
  });
  fern::yield();
  EXPECT_FALSE(sender.ready());
  std::string got;
  std::vector<char> part(65536);
  while (ssize_t size = recv(pair[1], part.data(), part.size(), 0)) {
    ASSERT_GT(size, 0);
    got.append(part.data(), static_cast<std::size_t>(size));
  }
  sender.join();
  EXPECT_EQ(offset, static_cast<off_t>(text.size()));
  EXPECT_TRUE(got == text.substr(10));
  EXPECT_EQ(sendfile(-1, file, nullptr, 1), -1);
  EXPECT_EQ(errno, EBADF);
  close(file);
}

TEST_F(MonkeySockets, ACallThatSucceedsKeepsErrnoThoughItHadToWait) {
  Pair pair;
  int after = 0;
  int read_after = 0;
  int poll_after = 0;
  auto receiver = fern::spawn([&] {
    char byte;
    errno = ENOTTY;
    EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
    after = errno;
    EXPECT_EQ(read(pair[0], &byte, 1), 1);
    read_after = errno;
    pollfd one{pair[0], POLLIN, 0};
    EXPECT_EQ(poll(&one, 1, -1), 1);
    poll_after = errno;
  });
  for (int i = 0; i < 3; ++i) {
    fern::sleep(1ms);
    EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
  }
  receiver.join();
  EXPECT_EQ(after, ENOTTY);
  EXPECT_EQ(read_after, ENOTTY);
  EXPECT_EQ(poll_after, ENOTTY);
}

TEST_F(MonkeySockets, TwoWhoReceiveFromOneSocketGetAByteEach) {
  Pair pair;
  std::string got;
  auto receive = [&] {
    char byte = 0;
    EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
    got += byte;
  };
  auto first = fern::spawn(receive);
  auto second = fern::spawn(receive);
  fern::yield();
  EXPECT_EQ(send(pair[1], "a", 1, 0), 1);
  fern::wait(std::vector{first, second}, {.count = 1});
  EXPECT_EQ(got, "a");
  EXPECT_EQ(send(pair[1], "b", 1, 0), 1);
  fern::joinall({first, second});
  EXPECT_EQ(got, "ab");
}

TEST_F(MonkeySockets, AcceptEndsWhenItsListenerIsClosedOrShutDown) {
  sockaddr_in address;
  int fd = listener(address);
  auto accept_one = [](int from) { return accept(from, nullptr, nullptr) < 0 ? errno : 0; };
  auto first = fern::spawn(accept_one, fd);
  fern::yield();
  shutdown(fd, SHUT_RDWR);
  EXPECT_EQ(first.get(), EINVAL);
  close(fd);
  fd = listener(address);
  auto second = fern::spawn(accept_one, fd);
  fern::yield();
  close(fd);
  EXPECT_EQ(second.get(), EBADF);
}

TEST_F(MonkeySockets, BadPointersAreTheKernelsToRefuse) {
  Pair pair;
  auto* bad = reinterpret_cast<void*>(1);
  EXPECT_EQ(sendmsg(pair[0], static_cast<msghdr*>(bad), 0), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(recvmsg(pair[0], static_cast<msghdr*>(bad), MSG_WAITALL | MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EFAULT);
  msghdr message{};
  message.msg_iov = static_cast<iovec*>(bad);
  message.msg_iovlen = 2;
  EXPECT_EQ(sendmsg(pair[0], &message, 0), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(send(pair[0], bad, 8, 0), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_F(MonkeySockets, SleepersSleepTogether) {
  auto begin = std::chrono::steady_clock::now();
  int awake = 0;
  std::vector<fern::Greenlet<void>> sleepers;
  for (int i = 0; i < 50; ++i) {
    sleepers.push_back(fern::spawn([&] {
      usleep(20'000);
      EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
      ++awake;
    }));
  }
  fern::yield();
  EXPECT_EQ(awake, 0);
  fern::joinall(sleepers);
  EXPECT_EQ(awake, 50);
}

}  // namespace
