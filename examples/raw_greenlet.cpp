// Two greenlets that print in turn, switched by hand. A value goes with each switch: into the
// function with the first one, out of the suspended switch_to() with those that follow.
#include <fern/raw_greenlet.hpp>

#include <iostream>
#include <string>

int main() {
  fern::RawGreenlet ping;
  fern::RawGreenlet pong;

  ping = fern::RawGreenlet([&](int rounds) {
    for (int i = 1; i <= rounds; ++i) {
      std::cout << "ping " << i << '\n';
      auto answer = pong.switch_to(i).take<std::string>();  // starts pong, or goes on in it
      std::cout << "  and heard " << answer << '\n';
    }
    return rounds;  // goes to ping's parent, main, as does what ping throws
  });
  pong = fern::RawGreenlet([&](int number) {
    for (;;) {
      std::cout << "pong " << number << '\n';
      number = ping.switch_to(std::string("pong ") + std::to_string(number)).take<int>();
    }
  });

  int played = ping.switch_to(3).take<int>();
  std::cout << played << " rounds; ping has ended: " << std::boolalpha << ping.dead()
            << ", pong has: " << pong.dead() << '\n';

  // Letting go of a greenlet that is suspended unwinds it, by a GreenletExit.
  fern::RawGreenlet tidy([] {
    struct Farewell {
      ~Farewell() { std::cout << "unwound\n"; }
    } farewell;
    fern::getcurrent().parent().switch_to();
  });
  tidy.switch_to();
  tidy = {};
  std::cout << "bye\n";
}
