// eventlet's first steps: results, delays, and the pool with its imap and its pile.
#include <fern/fern.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

std::string upper(std::string text) {
  fern::sleep(std::chrono::milliseconds(30 / text.size()));  // the longer, the sooner
  for (char& c : text) c = static_cast<char>(c - 'a' + 'A');
  return text;
}

void say(const std::string& text) { std::cout << text << '\n'; }

void spawn_and_sleep() {
  auto hello = fern::spawn(upper, "hello");
  auto world = fern::spawn(upper, "world");
  std::cout << hello.get() << ' ' << world.get() << '\n';
  fern::spawn_raw(say, "nobody waits for me");
  fern::sleep(0s);  // eventlet.sleep(): all that is ready runs once
}

void spawn_with_delays() {
  auto second = fern::spawn_later(100ms, say, "spawned first, with the longer delay");
  auto first = fern::spawn_later(20ms, say, "spawned second, with the shorter delay");
  fern::joinall(first, second);
}

void use_pools() {
  const std::array<std::string, 4> words{"a", "bb", "cccc", "dd"};
  fern::GreenPool pool(2);  // two at a time

  std::array<fern::Greenlet<std::string>, 4> results;
  for (std::size_t i = 0; i < words.size(); ++i) results[i] = pool.spawn(upper, words[i]);
  for (const auto& result : results) std::cout << result.get() << ' ';
  std::cout << "by spawn\n";

  for (const auto& word : words) pool.spawn_raw(upper, word);
  pool.waitall();
  std::cout << pool.running() << " of " << pool.size() << " are running after waitall\n";

  for (const std::string& result : pool.imap(upper, words)) std::cout << result << ' ';
  std::cout << "by imap\n";

  fern::GreenPile<std::string> pile(pool);
  for (const auto& word : words) pile.spawn(upper, word);
  for (const std::string& result : pile) std::cout << result << ' ';
  std::cout << "by a pile\n";
}

}  // namespace

int main() {
  spawn_and_sleep();
  spawn_with_delays();
  use_pools();
}

// Prints:
//   HELLO WORLD
//   nobody waits for me
//   spawned second, with the shorter delay
//   spawned first, with the longer delay
//   A BB CCCC DD by spawn
//   0 of 2 are running after waitall
//   A BB CCCC DD by imap
//   A BB CCCC DD by a pile
