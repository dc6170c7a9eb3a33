// Queues: one with room for twenty, last in first out, least first, and knowing when all is done.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

void fill_up() {
  fern::Queue<int> queue(20);
  auto putter = fern::spawn([&] {
    for (int i = 1; i <= 21; ++i) queue.put(i);
  });
  fern::yield();
  std::cout << queue.size() << " are in" << (queue.full() ? ", it is full" : "")
            << (putter.ready() ? "\n" : ", and the 21st waits\n");
  try {
    queue.put(22, 1ms);
  } catch (const fern::QueueFull& error) {
    std::cout << "another: " << error.what() << '\n';
  }
  std::cout << "got " << queue.get() << ": ";
  putter.join();
  std::cout << "the 21st is in\n";
}

void take_from_nothing() {
  fern::Queue<int> queue;
  if (!queue.try_get()) std::cout << "there is nothing to get\n";
  try {
    queue.get(0s);
  } catch (const fern::QueueEmpty& error) {
    std::cout << "at once: " << error.what() << '\n';
  }
}

template <class Queue>
void drain(const std::string& what, Queue& queue) {
  std::cout << what << ':';
  while (auto item = queue.try_get()) std::cout << ' ' << item->first << item->second;
  std::cout << '\n';
}

void order() {
  using Item = std::pair<int, char>;
  fern::Queue<Item> fifo;
  fern::LifoQueue<Item> lifo;
  fern::PriorityQueue<Item> least;
  for (Item item : {Item(3, 'c'), Item(1, 'a'), Item(2, 'b')}) {
    fifo.put(item);
    lifo.put(item);
    least.put(item);
  }
  drain("first in, first out", fifo);
  drain("last in, first out", lifo);
  drain("least first", least);
}

}  // namespace

int main() {
  fill_up();
  take_from_nothing();
  order();
}

// Prints:
//   20 are in, it is full, and the 21st waits
//   another: the queue is full
//   got 1: the 21st is in
//   there is nothing to get
//   at once: the queue is empty
//   first in, first out: 3c 1a 2b
//   last in, first out: 2b 1a 3c
//   least first: 1a 2b 3c
