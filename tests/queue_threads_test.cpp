#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/mutex.hpp>
#include <fern/queue.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::Queue;
using fern::spawn;

class QueueThreadsTest : public FernTest {
 protected:
  QueueThreadsTest() { may_keep_heap("hubs are kept for later threads"); }

  static constexpr int per_producer = 2000;

  // Two hubs and two plain threads put and get; every value comes out once.
  void conserve(std::ptrdiff_t capacity) {
    auto queue =
        capacity < 0 ? std::make_unique<Queue<int>>() : std::make_unique<Queue<int>>(capacity);
    auto produce = [&](int base) {
      for (int i = 0; i < per_producer; ++i) queue->put(base + i);
    };
    auto consume = [&] {
      std::vector<int> got;
      for (int value : *queue) got.push_back(value);
      return got;
    };
    std::vector<int> all;
    fern::Mutex mutex;
    auto keep = [&](const std::vector<int>& got) {
      std::lock_guard guard(mutex);
      all.insert(all.end(), got.begin(), got.end());
    };
    {
      std::jthread getting_hub([&] {
        auto a = spawn(consume);
        auto b = spawn(consume);
        keep(a.get());
        keep(b.get());
      });
      std::jthread getting_thread([&] { keep(consume()); });
      {
        std::jthread putting_hub(
            [&] { fern::joinall(spawn(produce, 0), spawn(produce, per_producer)); });
        std::jthread putting_thread(produce, 2 * per_producer);
      }
      queue->close();
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), 3U * per_producer);
    for (int i = 0; i < 3 * per_producer; ++i) ASSERT_EQ(all[i], i);
  }
};

TEST_F(QueueThreadsTest, UnboundedCarriesEveryValueOnce) { conserve(-1); }
TEST_F(QueueThreadsTest, BoundedCarriesEveryValueOnce) { conserve(3); }
TEST_F(QueueThreadsTest, ARendezvousCarriesEveryValueOnce) { conserve(0); }

TEST_F(QueueThreadsTest, OneProducersValuesKeepTheirOrder) {
  Queue<int> queue(10);
  std::jthread producer([&] {
    for (int i = 0; i < 5000; ++i) queue.put(i);
    queue.close();
  });
  int expected = 0;
  for (int value : queue) ASSERT_EQ(value, expected++);
  EXPECT_EQ(expected, 5000);
}

// Getters of two hubs are killed and time out while a thread puts: what they did not get is there.
TEST_F(QueueThreadsTest, NoItemIsLostAmongKillsTimeoutsAndPuts) {
  for (std::ptrdiff_t capacity : {1000000, 2}) {
    Queue<int> queue(capacity);
    std::atomic<std::int64_t> sum_got{0};
    std::int64_t sum_put = 0;
    std::jthread producer([&] {
      for (int i = 1; i <= 3000; ++i) {
        queue.put(i);
        sum_put += i;
        if (i % 16 == 0) std::this_thread::yield();
      }
      queue.close();
    });
    auto hub = [&] {
      while (!queue.closed() || !queue.empty()) {
        std::vector<Greenlet<void>> all;
        for (int i = 0; i < 9; ++i) {
          all.push_back(spawn([&, i] {
            try {
              sum_got += queue.get(i % 3 == 0 ? fern::Deadline(20us) : fern::Deadline());
            } catch (const fern::QueueEmpty&) {
            } catch (const fern::QueueClosed&) {
            }
          }));
        }
        fern::yield();
        for (int i = 1; i < 9; i += 3) all[i].kill({.block = false});
        fern::joinall(all);
      }
    };
    {
      std::jthread one(hub);
      std::jthread two(hub);
    }
    producer.join();
    EXPECT_EQ(sum_got, sum_put);
  }
}

// Putters of a full queue and of a rendezvous are killed and time out while a thread gets.
TEST_F(QueueThreadsTest, NoItemIsLostOrDoubledAmongKilledPutters) {
  for (std::ptrdiff_t capacity : {1, 0}) {
    Queue<int> queue(capacity);
    std::vector<int> got;
    std::jthread consumer([&] {
      for (int value : queue) got.push_back(value);
    });
    constexpr int rounds = 60;
    constexpr int each = 9;
    std::vector<char> finished(rounds * each, 0);
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> all;
      for (int i = 0; i < each; ++i) {
        int value = round * each + i;
        all.push_back(spawn([&, value, i] {
          try {
            queue.put(value, i % 3 == 0 ? fern::Deadline(20us) : fern::Deadline());
            finished[value] = 1;
          } catch (const fern::QueueFull&) {
          }
        }));
      }
      fern::yield();
      for (int i = 1; i < each; i += 3) all[i].kill({.block = false});
      fern::joinall(all);
    }
    queue.close();
    consumer.join();
    std::vector<int> times(rounds * each, 0);
    for (int value : got) ++times[value];
    for (int value = 0; value < rounds * each; ++value) {
      ASSERT_EQ(times[value], finished[value]) << value;
    }
  }
}

// Its deadline has passed, and what another thread has sent to wake it is still under way, while a
// third takes the item. On a slow machine they may not wait yet when it passes, and then the getter
// gets the item: that says nothing, and is tried again with more time.
TEST_F(QueueThreadsTest, ALateGetterThatWasNotifiedInVainIsLate) {
  bool late = false;
  for (auto time = 50ms; !late; time *= 2) {
    ASSERT_LT(time, 10s);
    Queue<int> queue;
    std::binary_semaphore go(0);
    std::binary_semaphore done(0);
    std::jthread other([&] {
      go.acquire();
      queue.put(1);
      done.release();
    });
    fern::Deadline soon = time;
    auto taker = spawn([&] {
      fern::sleep(soon);
      go.release();
      done.acquire();  // natively: the getter's timer has fired too, and it runs next
      fern::yield();
      return queue.try_get();
    });
    auto getter = spawn([&] {
      try {
        EXPECT_EQ(queue.get(soon), 1);
      } catch (const fern::QueueEmpty&) {
        late = true;
      }
    });
    auto taken = taker.get();
    getter.join();
    EXPECT_EQ(taken.has_value(), late);
  }
}

}  // namespace
