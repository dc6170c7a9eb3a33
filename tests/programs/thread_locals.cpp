// thread_local objects: each thread has its own, made and destroyed with it. Under `fern run` only
// with
// --tls.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

using namespace std::chrono_literals;

namespace {

std::atomic<int> made{0};
std::atomic<int> destroyed{0};
std::atomic<int> wrong{0};

struct Object {
  Object() { ++made; }
  ~Object() {
    if (text != "mine") ++wrong;
    ++destroyed;
  }
  std::string text = "mine";
};

thread_local int number = 5;
thread_local Object object;
thread_local char zeros[3000];

void use(int mine) {
  if (number != 5) ++wrong;
  if (zeros[2999] != 0) ++wrong;
  number = mine;
  zeros[2999] = 1;
  object.text.size();
  errno = mine;
  for (int k = 0; k < 5; ++k) {
    std::this_thread::sleep_for(200us);
    if (number != mine) ++wrong;
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 50; ++i) threads.emplace_back(use, i + 100);
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(number == 5);
  printf("made %d, destroyed %d, wrong %d\n", made.load(), destroyed.load(), wrong.load());
  return 0;
}
