#include <fern/errors.hpp>
#include <fern/hub.hpp>
#include <fern/pool.hpp>
#include <fern/selector.hpp>
#include <fern/server.hpp>
#include <fern/socket.hpp>
#include <fern/thread_pool.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <system_error>
#include <vector>

#include "stress/storm.hpp"

namespace storm {
namespace {

// One stream that everybody writes to and reads from: bytes in are bytes out.
class Bytes : public Trouble {
 public:
  Bytes() : Trouble("Socket"), ends_(fern::socketpair()) {}
  void touch(Dice& dice) override {
    std::array<char, 4096> data{};
    auto size = static_cast<std::size_t>(1 + dice.below(4096));
    try {
      if (dice.one_in(2)) {
        auto went = ends_.first.send(std::span(data).first(size), dice.deadline());
        sent_ += static_cast<std::int64_t>(went);
      } else {
        if (dice.one_in(4) && !fern::wait_readable(ends_.second.fd(), dice.deadline())) return;
        auto came = ends_.second.recv(std::span(data).first(size), dice.deadline());
        received_ += static_cast<std::int64_t>(came);
      }
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::broken_pipe || !open_) throw;
    }
  }
  void open() override {
    open_ = true;
    ends_.first.shutdown(fern::Socket::Direction::Send);
  }
  std::string check() override {
    std::array<char, 4096> data;
    while (auto came = ends_.second.recv(data)) received_ += static_cast<std::int64_t>(came);
    return differ("bytes sent", sent_, "received", received_);
  }

 private:
  std::pair<fern::Socket, fern::Socket> ends_;
  std::atomic<bool> open_{false};
  Tally sent_{0};
  Tally received_{0};
};

// Sockets that are closed while somebody waits for them: whoever waits learns it.
class Closing : public Trouble {
 public:
  Closing() : Trouble("close") {}
  void touch(Dice& dice) override {
    auto [here, there] = fern::socketpair();
    auto child = fern::spawn([this, end = std::move(there)]() mutable {
      try {
        if (end.recv(1).empty()) return;
        ++wrong_;
      } catch (const std::system_error&) {
      }
    });
    if (dice.one_in(2)) fern::yield();
    if (dice.one_in(3)) child.kill({.block = dice.one_in(2), .deadline = dice.deadline()});
    here.close();
    child.join();
  }
  std::string check() override { return differ("wrong ends", wrong_, "of", 0); }

 private:
  Tally wrong_{0};
};

// Clients of an echo server that lives in the hub that made it.
class Echo : public Trouble {
 public:
  Echo()
      : Trouble("StreamServer"),
        server_(fern::Address::loopback(0),
                [](fern::Socket& socket) {
                  std::array<char, 256> data;
                  try {
                    while (auto came = socket.recv(data))
                      socket.sendall(std::span(data).first(came));
                  } catch (const std::system_error&) {  // the client was killed
                  }
                },
                {.pool = 20}) {
    server_.start();
  }
  void touch(Dice& dice) override {
    std::string text(static_cast<std::size_t>(1 + dice.below(200)),
                     static_cast<char>('a' + dice.below(26)));
    std::string answer(text.size(), ' ');
    try {
      auto socket = fern::create_connection(server_.address(), dice.deadline());
      socket.sendall(text, dice.deadline());
      if (socket.recv_exact(answer, dice.deadline()) && answer != text) ++wrong_;
    } catch (const std::system_error&) {
    }
  }
  void open() override { server_.stop(std::chrono::seconds(1)); }
  std::string check() override { return differ("wrong answers", wrong_, "of", 0); }

 private:
  fern::StreamServer server_;
  Tally wrong_{0};
};

// Places in a pool of the hub that made it; the other hub asks its threads.
class Places : public Trouble {
 public:
  Places() : Trouble("GreenPool") {}
  void touch(Dice& dice) override {
    if (&fern::Hub::current() != &home_) {
      fern::in_thread([this] { ++jobs_; });
      ++ran_;
      return;
    }
    switch (dice.below(3)) {
      case 0:
        pool_.spawn(dice.deadline(), [] { fern::yield(); });
        break;
      case 1: {
        int taken = 0;
        std::vector<int> numbers{1, 2, 3, 4, 5, 6};
        for (int& number : pool_.imap([](int n) { return n; }, numbers)) {
          if (number != ++taken) ++wrong_;
          if (dice.one_in(4)) break;
        }
        break;
      }
      default:
        pool_.spawn_raw([] { fern::sleep(std::chrono::microseconds(50)); });
    }
  }
  std::string check() override {
    pool_.waitall();
    std::string wrong = differ("free places", static_cast<std::int64_t>(pool_.free()), "of", 4);
    if (wrong.empty()) wrong = differ("items out of order", wrong_, "of", 0);
    // A kill waits for the job, but whoever was killed has not counted it.
    if (wrong.empty() && jobs_ < ran_) wrong = "a job that has not run";
    return wrong;
  }

 private:
  fern::Hub& home_ = fern::Hub::current();
  fern::GreenPool pool_{4};
  Tally jobs_{0};
  Tally ran_{0};
  Tally wrong_{0};
};

}  // namespace

void add_world(Troubles& troubles) {
  troubles.push_back(std::make_unique<Bytes>());
  troubles.push_back(std::make_unique<Closing>());
  troubles.push_back(std::make_unique<Echo>());
  troubles.push_back(std::make_unique<Places>());
}

}  // namespace storm
