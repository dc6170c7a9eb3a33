#include "fern/selector.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "children.hpp"
#include "fern/event.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "sockets.hpp"

using fern::Interest;
using fern::Selector;
using fern::Socket;
using fern::Trigger;
using namespace std::chrono_literals;

namespace {

class SelectorTest : public fern::testing::SocketFixture {
 protected:
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0); }
    Pipe(const Pipe&) = delete;
    ~Pipe() {
      close_end(0);
      close_end(1);
    }
    void close_end(int end) {
      if (ends[end] >= 0) ::close(std::exchange(ends[end], -1));
    }
    void write() { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
    void read() {
      char byte;
      EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    }
    int ends[2];
  };

  // What wait() gives, as text: "name+r name+w".
  static std::string names(Selector<std::string>& selector, fern::Deadline deadline = 20s) {
    std::string text;
    for (auto& [fd, readable, writable, name] : selector.wait(deadline)) {
      if (!text.empty()) text += ' ';
      text += *name + '+' + (readable ? "r" : "") + (writable ? "w" : "");
    }
    return text;
  }
};

TEST_F(SelectorTest, TellsWhichOfManyAreReadyAndForWhat) {
  std::vector<Pipe> pipes(3);
  Selector<std::string> selector;
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    selector.add(pipes[i].ends[0], Interest::Read, "pipe" + std::to_string(i));
  }
  auto [a, b] = fern::socketpair();
  selector.add(a.fd(), Interest::Both, "socket");
  EXPECT_EQ(selector.size(), 4U);
  EXPECT_EQ(names(selector), "socket+w");
  selector.modify(a.fd(), Interest::Read);
  EXPECT_EQ(names(selector, 1ms), "");
  pipes[2].write();
  EXPECT_EQ(names(selector), "pipe2+r");
  EXPECT_EQ(names(selector), "pipe2+r");  // as long as it is ready
  pipes[2].read();
  EXPECT_EQ(names(selector, 0s), "");
  b.sendall("x");
  selector.modify(a.fd(), Interest::Both, "both");
  EXPECT_EQ(names(selector), "both+rw");
}

TEST_F(SelectorTest, WaitsUntilOneIsReadyOrTheDeadlinePasses) {
  Pipe pipe;
  Selector<> selector;
  selector.add(pipe.ends[0], Interest::Read);
  auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(selector.wait(3ms).empty());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 3ms);
  auto waiter = fern::spawn([&] { return selector.wait().size(); });
  fern::yield();
  EXPECT_FALSE(waiter.ready());
  pipe.write();
  EXPECT_EQ(waiter.get(), 1U);
}

TEST_F(SelectorTest, EdgeTellsOnceEachTimeThatOneBecomesReady) {
  Pipe pipe;
  Selector<std::string> selector(Trigger::Edge);
  selector.add(pipe.ends[0], Interest::Read, "pipe");
  pipe.write();
  EXPECT_EQ(names(selector), "pipe+r");
  EXPECT_EQ(names(selector, 1ms), "");  // though it still is
  pipe.write();
  EXPECT_EQ(names(selector), "pipe+r");
  selector.modify(pipe.ends[0], Interest::Read);
  EXPECT_EQ(names(selector), "pipe+r");
  EXPECT_EQ(names(selector, 0s), "");
}

TEST_F(SelectorTest, WhatIsRegisteredTwiceOrNotAtAllIsMisuseThatChangesNothing) {
  Pipe pipe;
  Selector<std::string> selector;
  selector.add(pipe.ends[0], Interest::Read, "first");
  EXPECT_THROW(selector.add(pipe.ends[0], Interest::Write, "second"), std::logic_error);
  EXPECT_THROW(selector.modify(pipe.ends[1], Interest::Write), std::logic_error);
  EXPECT_FALSE(selector.remove(pipe.ends[1]));
  EXPECT_EQ(selector.get(pipe.ends[1]), nullptr);
  EXPECT_EQ(*selector.get(pipe.ends[0]), "first");
  pipe.write();
  EXPECT_EQ(names(selector), "first+r");
  EXPECT_TRUE(selector.remove(pipe.ends[0]));
  EXPECT_EQ(selector.size(), 0U);
  EXPECT_EQ(names(selector, 0s), "");
}

TEST_F(SelectorTest, WhatIsNotOpenIsAnErrorAndIsNotRegistered) {
  Selector<> selector;
  EXPECT_EQ(errno_of([&] { selector.add(-1, Interest::Read); }), EBADF);
  EXPECT_EQ(errno_of([&] { selector.add(1 << 20, Interest::Read); }), EBADF);
  EXPECT_EQ(selector.size(), 0U);
}

TEST_F(SelectorTest, AFileIsAlwaysReady) {
  int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  Pipe pipe;
  for (Trigger trigger : {Trigger::Level, Trigger::Edge}) {
    Selector<std::string> selector(trigger);
    selector.add(pipe.ends[0], Interest::Read, "pipe");
    selector.add(file, Interest::Read, "file");
    EXPECT_THROW(selector.add(file, Interest::Read, "again"), std::logic_error);
    EXPECT_EQ(names(selector), "file+r");
    EXPECT_EQ(names(selector, 1ms), trigger == Trigger::Level ? "file+r" : "");
    selector.modify(file, Interest::Both);
    EXPECT_EQ(names(selector), "file+rw");
    EXPECT_TRUE(selector.remove(file));
    EXPECT_EQ(names(selector, 0s), "");
  }
  ::close(file);
}

TEST_F(SelectorTest, AnErrorOrAHangUpIsReadyForWhateverWasAsked) {
  Connection connection;
  Pipe reader;
  Pipe writer;
  Selector<std::string> selector;
  selector.add(reader.ends[0], Interest::Read, "reader");
  reader.close_end(1);
  EXPECT_EQ(names(selector), "reader+r");
  selector.remove(reader.ends[0]);
  while (::write(writer.ends[1], std::string(4096, 'x').data(), 4096) > 0) {
  }
  selector.add(writer.ends[1], Interest::Write, "writer");
  EXPECT_EQ(names(selector, 0s), "");
  writer.close_end(0);
  EXPECT_EQ(names(selector), "writer+w");
  selector.remove(writer.ends[1]);
  selector.add(connection.client.fd(), Interest::Read, "client");
  reset(connection.peer);
  EXPECT_EQ(names(selector), "client+r");
  EXPECT_EQ(errno_of([&] { connection.client.recv(1); }), ECONNRESET);
}

TEST_F(SelectorTest, TheFlagsOfADescriptorAreTheUsers) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Selector<> selector;
  selector.add(ends[0], Interest::Read);
  EXPECT_TRUE(selector.wait(1ms).empty());
  EXPECT_EQ(::fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SelectorTest, ManyDescriptorsAreToldOfInTurns) {
  constexpr std::size_t count = 300;
  std::vector<Pipe> pipes(count);
  Selector<int> selector;
  for (auto& pipe : pipes) {
    selector.add(pipe.ends[0], Interest::Read, 0);
    pipe.write();
  }
  std::size_t told = 0;
  for (int round = 0; round < 20 && told < count; ++round) {
    for (auto& ready : selector.wait(20s)) {
      if ((*ready.data)++ == 0) ++told;
    }
  }
  EXPECT_EQ(told, count);
}

TEST_F(SelectorTest, SeveralGreenletsWaitAtOnceAndOthersAddAndRemove) {
  Pipe pipe;
  Selector<> selector;
  std::vector<fern::Greenlet<std::size_t>> waiters;
  for (int i = 0; i < 3; ++i)
    waiters.push_back(fern::spawn([&] { return selector.wait().size(); }));
  fern::sleep(1ms);
  pipe.write();
  selector.add(pipe.ends[0], Interest::Read);
  for (auto& waiter : waiters) EXPECT_EQ(waiter.get(), 1U);
  pipe.read();
  auto none = fern::spawn([&] { return selector.wait(2ms).size(); });
  fern::yield();
  selector.remove(pipe.ends[0]);
  pipe.write();
  EXPECT_EQ(none.get(), 0U);
}

TEST_F(SelectorTest, EdgeTellsOneOfThoseWhoWait) {
  Pipe pipe;
  Selector<> selector(Trigger::Edge);
  selector.add(pipe.ends[0], Interest::Read);
  auto first = fern::spawn([&] { return selector.wait().size(); });
  auto second = fern::spawn([&] { return selector.wait().size(); });
  fern::sleep(1ms);
  pipe.write();
  EXPECT_EQ(first.get(), 1U);
  fern::sleep(1ms);
  EXPECT_FALSE(second.ready());
  pipe.write();
  EXPECT_EQ(second.get(), 1U);
}

TEST_F(SelectorTest, AnotherThreadMayAddAndWait) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pipe first;
  Pipe second;
  Selector<std::string> selector;
  std::thread other([&] {
    EXPECT_EQ(names(selector), "first+r");
    first.read();
    second.write();
    selector.add(second.ends[0], Interest::Read, "second");
  });
  fern::sleep(1ms);
  first.write();
  selector.add(first.ends[0], Interest::Read, "first");
  other.join();
  EXPECT_EQ(names(selector), "second+r");
}

TEST_F(SelectorTest, AKillEndsTheWaitAndTakesNothing) {
  Pipe pipe;
  Selector<std::string> selector(Trigger::Edge);
  selector.add(pipe.ends[0], Interest::Read, "pipe");
  auto waiter = fern::spawn([&] { selector.wait(); });
  fern::sleep(1ms);
  pipe.write();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  EXPECT_EQ(names(selector), "pipe+r");
  fern::Timeout timeout(1ms);
  EXPECT_THROW(selector.wait(), fern::TimeoutError);
}

TEST_F(SelectorTest, TheHubsOwnStackMayLookButNotWait) {
  Pipe pipe;
  Selector<> selector;
  selector.add(pipe.ends[0], Interest::Read);
  bool refused = false;
  std::size_t seen = 1;
  fern::Hub::current().post([&] {
    seen = selector.wait(0s).size();
    try {
      selector.wait();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
  });
  fern::sleep(1ms);
  EXPECT_EQ(seen, 0U);
  EXPECT_TRUE(refused);
}

TEST_F(SelectorTest, DataLivesAsLongAsWhatWasTold) {
  Pipe one;
  Pipe two;
  Selector<std::unique_ptr<std::string>> selector;  // data need not be copyable
  selector.add(one.ends[0], Interest::Read, std::make_unique<std::string>("one"));
  selector.add(two.ends[0], Interest::Read, std::make_unique<std::string>("two"));
  one.write();
  two.write();
  auto ready = selector.wait();
  ASSERT_EQ(ready.size(), 2U);
  selector.remove(one.ends[0]);
  selector.remove(two.ends[0]);
  EXPECT_EQ(**ready[0].data + **ready[1].data, "onetwo");
}

TEST_F(SelectorTest, ANumberThatWasClosedMayBeAddedAnew) {
  auto old = std::make_unique<Pipe>();
  int number = old->ends[0];
  Selector<std::string> selector;
  selector.add(number, Interest::Read, "old");
  old.reset();
  EXPECT_EQ(errno_of([&] { selector.modify(number, Interest::Both); }), EBADF);
  EXPECT_EQ(names(selector, 1ms), "");
  Pipe fresh;
  ASSERT_EQ(fresh.ends[0], number);
  EXPECT_EQ(errno_of([&] { selector.modify(number, Interest::Both); }), EBADF);
  selector.add(number, Interest::Read, "fresh");
  EXPECT_EQ(selector.size(), 1U);
  fresh.write();
  EXPECT_EQ(names(selector), "fresh+r");
}

TEST_F(SelectorTest, AClosedDescriptorWhoseDuplicateLivesIsForgotten) {
  Pipe pipe;
  int duplicate = ::fcntl(pipe.ends[0], F_DUPFD_CLOEXEC, 0);
  Selector<std::string> selector;
  selector.add(duplicate, Interest::Read, "duplicate");
  ::close(duplicate);
  Pipe fresh;
  ASSERT_EQ(fresh.ends[0], duplicate);
  selector.add(fresh.ends[0], Interest::Read, "fresh");
  auto waiter = fern::spawn([&] { return names(selector); });
  fern::sleep(1ms);
  pipe.write();  // the set still knows the old one by it
  auto polls = fern::Hub::current().polls();
  fern::sleep(20ms);
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
  EXPECT_FALSE(waiter.ready());
  fresh.write();
  EXPECT_EQ(waiter.get(), "fresh+r");
}

TEST_F(SelectorTest, AForkedChildHasACopyOfItsOwn) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pipe pipe;
  Selector<std::string> selector;
  selector.add(pipe.ends[0], Interest::Read, "pipe");
  auto waiter = fern::spawn([&] { return names(selector); });
  fern::sleep(1ms);
  int status = fern::testing::in_child([&] {
    Pipe mine;
    selector.add(mine.ends[0], Interest::Read, "mine");
    mine.write();
    if (names(selector) != "mine+r") return 1;
    return selector.remove(pipe.ends[0]) && selector.size() == 1 ? 0 : 2;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  status = fern::testing::in_child([&] { return selector.remove(pipe.ends[0]) ? 0 : 1; });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  EXPECT_FALSE(waiter.ready());
  pipe.write();
  EXPECT_EQ(waiter.get(), "pipe+r");
}

// As in every tutorial of selectors: callbacks as data, and a client that resets its connection.
TEST_F(SelectorTest, AnEchoServerOfCallbacksSurvivesAReset) {
  using Callback = std::function<void(int fd)>;
  Selector<Callback> selector;
  Socket listener = fern::create_server(fern::Address::loopback());
  std::map<int, Socket> clients;
  int resets = 0;
  auto serve = [&](int fd) {
    std::string data;
    try {
      data = clients.at(fd).recv(1000);
    } catch (const std::system_error&) {
      ++resets;
    }
    if (!data.empty()) return clients.at(fd).sendall(data);
    selector.remove(fd);
    clients.erase(fd);
  };
  selector.add(listener.fd(), Interest::Read, [&](int) {
    Socket client = listener.accept();
    selector.add(client.fd(), Interest::Read, serve);
    clients.emplace(client.fd(), std::move(client));
  });
  auto server = fern::spawn([&] {
    for (;;) {
      for (auto& ready : selector.wait()) (*ready.data)(ready.fd);
    }
  });
  Socket rude = fern::create_connection(listener.local_address());
  Socket polite = fern::create_connection(listener.local_address());
  for (Socket* client : {&rude, &polite}) {
    client->sendall("hello");
    EXPECT_EQ(client->recv(100), "hello");
  }
  reset(rude);
  while (resets == 0) fern::sleep(100us);
  polite.sendall("still here");
  EXPECT_EQ(polite.recv(100), "still here");
  polite.close();
  while (!clients.empty()) fern::sleep(100us);
  server.kill();
}

}  // namespace
