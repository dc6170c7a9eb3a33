// Dies by: SIGABRT
// Stderr: fern: .*destroyed while somebody waits in it: eater \(id \d+\): waits in Queue::get\(\)
//
// A queue of main's goes before the greenlets that main leaves behind: whoever waits in it is
// named.
#include <fern/greenlet.hpp>
#include <fern/queue.hpp>

int main() {
  fern::Queue<int> buns;
  fern::spawn(fern::SpawnOptions{.name = "eater"}, [&] { buns.get(); });
  fern::yield();
  return 0;
}
