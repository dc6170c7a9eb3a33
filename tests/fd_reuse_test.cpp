// Descriptor numbers that come and go in several hubs at once: nobody gets what was meant for
// another, and nobody waits for ever.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "fern/greenlet.hpp"
#include "fern/queue.hpp"
#include "fern/selector.hpp"
#include "fern/server.hpp"
#include "fern/socket.hpp"
#include "fern/wait.hpp"
#include "support.hpp"

using fern::Socket;
using namespace std::chrono_literals;

namespace {

class FdReuseTest : public FernTest {
 protected:
  FdReuseTest() { may_keep_heap("threads' hubs are kept for the next threads"); }

  static constexpr int threads = 3;
  static constexpr int rounds = 300;

  template <class F>
  static void in_threads(F f) {
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) all.emplace_back([&f, i] { f(i); });
    f(threads);
    for (auto& thread : all) thread.join();
  }
};

TEST_F(FdReuseTest, ShortLivedSocketsOfManyHubsCarryTheirOwnDataOnly) {
  std::atomic<int> wrong{0};
  in_threads([&](int thread) {
    std::vector<fern::Greenlet<void>> talks;
    for (int talk = 0; talk < 4; ++talk) {
      talks.push_back(fern::spawn([&, thread, talk] {
        for (int round = 0; round < rounds; ++round) {
          auto [a, b] = fern::socketpair();
          std::string tag = std::to_string(thread * 100 + talk) + "/" + std::to_string(round);
          auto echo = fern::spawn([&peer = b] {
            for (std::string part; !(part = peer.recv(100)).empty();) peer.sendall(part);
          });
          for (int i = 0; i < 3; ++i) {
            a.sendall(tag);
            std::string back(tag.size(), '?');
            if (!a.recv_exact(back) || back != tag) ++wrong;
          }
          a.close();
          echo.join();
        }
      }));
    }
    fern::joinall(talks);
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(FdReuseTest, SocketsThatOneHubWaitsForAreClosedByAnother) {
  fern::Queue<std::shared_ptr<Socket>> waited_for;
  std::atomic<int> woken{0};
  std::thread closer([&] {
    for (auto socket = waited_for.get(); socket != nullptr; socket = waited_for.get()) {
      socket->close();
      // The number is in use again at once.
      auto pair = fern::socketpair();
      pair.first.sendall("not for those who waited");
    }
  });
  for (int round = 0; round < rounds; ++round) {
    auto [a, b] = fern::socketpair();
    auto shared = std::make_shared<Socket>(std::move(a));
    std::vector<fern::Greenlet<void>> waiters;
    for (int i = 0; i < 3; ++i) {
      waiters.push_back(fern::spawn([&, shared] {
        try {
          shared->recv(100);
        } catch (const std::system_error& error) {
          if (error.code() == std::errc::bad_file_descriptor) ++woken;
        }
      }));
    }
    fern::yield();  // they wait now
    waited_for.put(std::move(shared));
    fern::joinall(waiters);
  }
  waited_for.put(nullptr);
  closer.join();
  EXPECT_EQ(woken, 3 * rounds);
}

TEST_F(FdReuseTest, PipesThatFernDoesNotSeeClosedMixWithSockets) {
  std::atomic<int> wrong{0};
  in_threads([&](int) {
    std::vector<fern::Greenlet<void>> uses;
    uses.push_back(fern::spawn([&] {
      for (int round = 0; round < rounds; ++round) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return;
        auto waiter = fern::spawn([&] { return fern::wait_readable(ends[0], 40s); });
        fern::yield();
        if (::write(ends[1], "x", 1) != 1 || !waiter.get()) ++wrong;
        ::close(ends[0]);
        ::close(ends[1]);
      }
    }));
    uses.push_back(fern::spawn([&] {
      for (int round = 0; round < rounds; ++round) {
        auto [a, b] = fern::socketpair();
        auto reader = fern::spawn([&socket = a] { return socket.recv(100, 40s); });
        fern::yield();
        b.sendall("y");
        if (reader.get() != "y") ++wrong;
        if (round % 3 == 0) ::close(a.release());
      }
    }));
    fern::joinall(uses);
  });
  EXPECT_EQ(wrong, 0);
}

// Each ends in one of four ways: the client leaves, or resets, or is killed while it waits, or the
// server hangs up in the middle.
TEST_F(FdReuseTest, TwoThousandConnectionsComeAndGoAndLeaveNothing) {
  constexpr int clients = 40;
  constexpr int each = 50;
  fern::StreamServer server(fern::Address::loopback(), [](Socket& socket) {
    try {
      for (std::string part; !(part = socket.recv(100)).empty();) {
        if (part == "hang up") return;
        if (part != "say nothing") socket.sendall(part);
      }
    } catch (const std::system_error&) {  // a reset
    }
  });
  server.start();
  int right = 0;
  std::vector<fern::Greenlet<void>> all;
  for (int client = 0; client < clients; ++client) {
    all.push_back(fern::spawn([&, client] {
      for (int i = 0; i < each; ++i) {
        Socket socket = fern::create_connection(server.address(), 40s);
        std::string tag = std::to_string(client) + "/" + std::to_string(i);
        socket.sendall(tag);
        if (socket.recv(100, 40s) == tag) ++right;
        switch (i % 4) {
          case 0:
            break;
          case 1: {
            linger hard{1, 0};
            ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            break;
          }
          case 2: {
            socket.sendall("say nothing");
            auto waiter = fern::spawn([&] { socket.recv(100); });
            fern::yield();
            waiter.kill();
            break;
          }
          case 3:
            socket.sendall("hang up");
            EXPECT_EQ(socket.recv(100, 40s), "");
            break;
        }
      }
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(right, clients * each);
  EXPECT_TRUE(server.stop(40s));
}

}  // namespace
