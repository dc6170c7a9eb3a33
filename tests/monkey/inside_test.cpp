// The wrappers inside of the program itself, as when everything is linked statically but libc.

#include "monkey/patched.hpp"
#include "monkey/plugin.hpp"

using fern::testing::Plugin;

namespace {

class MonkeyInside : public MonkeyTest {};

TEST_F(MonkeyInside, CallsOfTheProgramAndOfLibrariesReachThem) {
  Plugin plugin(RTLD_NOW | RTLD_LOCAL);
  for (auto receive : {plugin.recv, +[](int fd, void* buffer, std::size_t size) {
                         return recv(fd, buffer, size, 0);
                       }}) {
    Pair pair;
    char byte = 0;
    auto receiver = fern::spawn([&] { return receive(pair[0], &byte, 1); });
    fern::yield();
    EXPECT_FALSE(receiver.ready());
    EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
    EXPECT_EQ(receiver.get(), 1);
  }
}

TEST_F(MonkeyInside, TheOriginalIsFoundBehindThem) {
  Pair pair;
  EXPECT_EQ(fern::monkey::original<&::send>()(pair[1], "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(fern::monkey::original<&::recv>()(pair[0], &byte, 1, 0), 1);
  EXPECT_NE(reinterpret_cast<void*>(fern::monkey::original<&::recv>()),
            reinterpret_cast<void*>(&::recv));
}

}  // namespace
