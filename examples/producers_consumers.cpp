// Two bakers, three eaters, and a table for four buns. The bakers wait until every bun is eaten;
// the eaters would eat for ever, and die with the program.
#include <fern/fern.hpp>

#include <iostream>
#include <string>

namespace {

// Outlives main, and so the eaters, who are killed when main has returned.
fern::Queue<std::string> table(4);

void bake(const std::string& baker, int buns) {
  for (int bun = 1; bun <= buns; ++bun) {
    table.put(baker + "'s bun " + std::to_string(bun));
    fern::yield();
  }
  table.join();
  std::cout << baker << " knows that all is eaten\n";
}

void eat(const std::string& eater) {
  for (const std::string& bun : table) {
    fern::yield();  // chews
    std::cout << eater << " eats " << bun << '\n';
    table.task_done();
  }
}

}  // namespace

int main() {
  for (const char* eater : {"tom", "tim", "tam"}) fern::spawn_raw(eat, eater);
  auto ann = fern::spawn(bake, "ann", 3);
  auto bob = fern::spawn(bake, "bob", 4);
  fern::joinall(ann, bob);
}

// Prints:
//   tom eats ann's bun 1
//   tim eats bob's bun 1
//   tom eats ann's bun 2
//   tam eats bob's bun 2
//   tim eats ann's bun 3
//   tom eats bob's bun 3
//   tom eats bob's bun 4
//   ann knows that all is eaten
//   bob knows that all is eaten
