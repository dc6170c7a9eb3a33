// What the monkey promises about time, with real libraries against real servers on this machine:
//
//   latency  fifty blocking calls at once, in one thread, take at most 1.5 times as long as one
//   bytes    what moves many bytes takes at most 1.3 times as long as in as many threads, in one
//            hub or in a hub for each processor: the threads have all of them
//   ticker   a greenlet that ticks every 5 ms meanwhile is late by 10 ms more than a thread that
//            does the same, in 999 cases of a thousand; no gap is half as long as a blocking call
//
// A row of the first kind that misses is measured again, three times at most, and the second is a
// median of seven. Fails if one misses. Given words, it measures the rows whose names have one of
// them.

#include "monkey/clients.hpp"
#include "monkey/late_names.hpp"
#include "monkey/servers.hpp"

#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using fern::testing::Client;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

namespace {

constexpr int at_once = 50;
constexpr auto wait = 800ms;
constexpr auto tick = 5ms;
constexpr int attempts = 3;

int missed = 0;
std::vector<std::string> words;

bool wanted(const std::string& name) {
  return words.empty() || std::any_of(words.begin(), words.end(), [&](const std::string& word) {
           return name.find(word) != std::string::npos;
         });
}

void tell(bool kept, const std::string& text) {
  fmt::print("{} {}\n", kept ? "kept  " : "MISSED", text);
  std::fflush(stdout);
  missed += kept ? 0 : 1;
}

template <class Fn>
Milliseconds time_of(Fn&& fn) {
  auto start = Clock::now();
  fn();
  return Clock::now() - start;
}

using Results = std::vector<std::string>;
using Call = std::function<std::string()>;

Results in_greenlets(int count, const Call& call) {
  std::vector<fern::Greenlet<std::string>> running;
  for (int i = 0; i < count; ++i) running.push_back(fern::spawn(call));
  Results results;
  for (auto& one : running) results.push_back(one.get());
  return results;
}

// As many at once, in a hub for each processor: what bytes cost is the processor's time, and native
// threads have all of them.
Results in_hubs(int count, const Call& call) {
  int hubs = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, count);
  std::vector<Results> parts(static_cast<std::size_t>(hubs));
  std::vector<std::thread> threads;
  for (int i = 0; i < hubs; ++i) {
    int share = count / hubs + (i < count % hubs ? 1 : 0);
    threads.emplace_back(
        [&, i, share] { parts[static_cast<std::size_t>(i)] = in_greenlets(share, call); });
  }
  Results results;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    threads[i].join();
    results.insert(results.end(), parts[i].begin(), parts[i].end());
  }
  return results;
}

// Threads without a hub are native.
Results in_threads(int count, const Call& call) {
  Results results(static_cast<std::size_t>(count));
  std::vector<std::thread> running;
  for (std::string& result : results) running.emplace_back([&] { result = call(); });
  for (std::thread& one : running) one.join();
  return results;
}

// Two tickers, side by side, while it lives.
class Tickers {
 public:
  Tickers()
      : greenlet_(fern::spawn([this] {
          auto last = Clock::now();
          while (!over_) {
            fern::sleep(tick);
            green.push_back(gap_since(last));
          }
        })),
        thread_([this] {
          auto last = Clock::now();
          while (!over_) {
            std::this_thread::sleep_for(tick);
            native.push_back(gap_since(last));
          }
        }) {}
  void stop() {
    over_ = true;
    greenlet_.join();
    thread_.join();
  }

  std::vector<Milliseconds> green;
  std::vector<Milliseconds> native;

 private:
  static Milliseconds gap_since(Clock::time_point& last) {
    auto now = Clock::now();
    return now - std::exchange(last, now);
  }

  std::atomic<bool> over_{false};
  fern::Greenlet<void> greenlet_;
  std::thread thread_;
};

Milliseconds longest(const std::vector<Milliseconds>& gaps) {
  return *std::max_element(gaps.begin(), gaps.end());
}

Milliseconds p999(std::vector<Milliseconds> gaps) {
  auto at = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() * 999 / 1000);
  std::nth_element(gaps.begin(), at, gaps.end());
  return *at;
}

Milliseconds median(std::vector<Milliseconds> times) {
  auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

std::vector<Milliseconds> all_green;
std::vector<Milliseconds> all_native;

void latency(const std::string& name, const Call& call) {
  if (!wanted(name)) return;
  std::string expected = in_threads(1, call)[0];
  std::ptrdiff_t wrong = 0;  // of all attempts: only what takes too long may be tried again
  for (int attempt = 1;; ++attempt) {
    Milliseconds one{};
    for (int i = 0; i < 3; ++i) {
      one = std::max(one, time_of([&] { in_greenlets(1, call); }));
    }
    Tickers tickers;
    Results results;
    Milliseconds all = time_of([&] { results = in_greenlets(at_once, call); });
    tickers.stop();
    wrong += std::count_if(results.begin(), results.end(),
                           [&](const std::string& result) { return result != expected; });
    all_green.insert(all_green.end(), tickers.green.begin(), tickers.green.end());
    all_native.insert(all_native.end(), tickers.native.begin(), tickers.native.end());
    Milliseconds gap = longest(tickers.green);
    bool kept = all <= 1.5 * one && wrong == 0 && gap < wait / 2;
    if (!kept && wrong == 0 && attempt < attempts) continue;
    tell(kept, fmt::format("{:22} one {:5.0f} ms, {} at once {:5.0f} ms: {:.2f} x, promised 1.5; "
                           "longest gap {:3.0f} ms (a thread's {:.0f}); {} wrong",
                           name, one.count(), at_once, all.count(), all / one, gap.count(),
                           longest(tickers.native).count(), wrong));
    return;
  }
}

void bytes(const std::string& name, int count, const Call& call) {
  if (!wanted(name)) return;
  std::string expected = in_threads(1, call)[0];
  std::ptrdiff_t wrong = 0;
  auto green = [&](auto how) {
    Results ours;
    Milliseconds took = time_of([&] { ours = how(count, call); });
    wrong += count - std::count(ours.begin(), ours.end(), expected);
    return took;
  };
  // In turn, and the medians: one such run is over in less than a tenth of a second.
  std::vector<Milliseconds> native;
  std::vector<Milliseconds> hubs;
  std::vector<Milliseconds> one_hub;
  for (int round = 0; round < 7; ++round) {
    native.push_back(time_of([&] { in_threads(count, call); }));
    hubs.push_back(green(in_hubs));
    one_hub.push_back(green(in_greenlets));
  }
  // A program chooses.
  Milliseconds threads = median(native);
  double in_one = median(one_hub) / threads;
  double in_all = median(hubs) / threads;
  tell(std::min(in_one, in_all) <= 1.3 && wrong == 0,
       fmt::format("{:22} {} threads {:5.0f} ms, {} at once in one hub {:.2f} x, in a hub for each "
                   "processor {:.2f} x, promised 1.3 in either; {} wrong",
                   name, count, threads.count(), count, in_one, in_all, wrong));
}

std::string look_up(const char* host) {
  addrinfo* found = nullptr;
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  int error = getaddrinfo(host, "80", &hints, &found);
  if (error != 0) return gai_strerror(error);
  char text[NI_MAXHOST];
  getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  freeaddrinfo(found);
  return text;
}

}  // namespace

int main(int argc, char** argv) try {
  words.assign(argv + 1, argv + argc);
  if (std::string missing = fern::testing::Servers::missing(); !missing.empty()) {
    fmt::print(stderr, "accept_monkey: {}\n", missing);
    return 2;
  }
  // First, while there is one thread.
  std::optional<fern::testing::LateNames> names;
  if (fern::testing::LateNames::possible()) names.emplace(wait);
  fern::testing::Servers servers;
  servers.start();
  fern::monkey::patch_all();
  for (const Client& client : fern::testing::clients(servers)) {
    latency(client.name, [&] { return client.call(wait); });
  }
  if (names) {
    latency("GetaddrinfoLate", [] { return look_up("late.test"); });
    latency("GetaddrinfoNever", [] { return look_up("never.test"); });
  } else {
    tell(false, "getaddrinfo: only root may stand a name server of its own in");
  }
  if (!all_green.empty()) {
    Milliseconds ours = p999(all_green);
    Milliseconds theirs = p999(all_native);
    tell(ours <= theirs + 10ms,
         fmt::format("ticker: 999 of 1000 gaps within {:.1f} ms, a thread's within {:.1f} ms, "
                     "promised 10 ms more",
                     ours.count(), theirs.count()));
  }
  bytes("Curl10MB", 20,
        [&] { return fern::testing::curl_get(servers.http() + "big", servers.certificate()); });
  bytes("Curl10MBTls", 20,
        [&] { return fern::testing::curl_get(servers.https() + "big", servers.certificate()); });
  bytes("PostgresCopy50MB", 4,
        [&] { return fern::testing::postgres_copy(servers.postgres(), 50'000'000); });
  return missed == 0 ? 0 : 1;
} catch (const std::exception& error) {
  fmt::print(stderr, "accept_monkey: {}\n", error.what());
  return 2;
}
