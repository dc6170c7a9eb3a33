// What patch_all() and its kin do, to whom, and what report() says of it.

#include "monkey/patched.hpp"
#include "monkey/plugin.hpp"

#include <cerrno>
#include <sstream>
#include <stdexcept>
#include <thread>

using fern::monkey::Part;
using fern::testing::Plugin;
using namespace std::chrono_literals;

namespace {

class MonkeyPatch : public FernTest {
 protected:
  ~MonkeyPatch() override { fern::monkey::unpatch(); }
};

std::string report() {
  std::ostringstream text;
  fern::monkey::report(text);
  return text.str();
}

// Whether the call parks its greenlet: another one runs before it has returned. A thread without
// a hub ends it in either case.
template <class Receive>
bool green(Receive receive) {
  Pair pair;
  bool others_ran = false;
  bool parked = false;
  std::thread sender([&] {
    std::this_thread::sleep_for(30ms);
    EXPECT_EQ(write(pair[1], "x", 1), 1);
  });
  auto receiver = fern::spawn([&] {
    char byte = 0;
    EXPECT_EQ(receive(pair[0], &byte, std::size_t{1}), 1);
    EXPECT_EQ(byte, 'x');
    parked = others_ran;
  });
  auto other = fern::spawn([&] { others_ran = true; });
  fern::joinall({receiver, other});
  sender.join();
  return parked;
}

ssize_t receive(int fd, void* buffer, std::size_t size) { return recv(fd, buffer, size, 0); }

TEST_F(MonkeyPatch, NothingIsGreenBeforeIt) {
  EXPECT_FALSE(fern::monkey::is_patched(Part::Sockets));
  EXPECT_FALSE(green(receive));
}

TEST_F(MonkeyPatch, PatchAllPatchesEveryPart) {
  fern::monkey::patch_all();
  EXPECT_TRUE(fern::monkey::is_patched(fern::monkey::all_parts));
  EXPECT_TRUE(green(receive));
}

TEST_F(MonkeyPatch, PatchingTwiceIsPatchingOnce) {
  fern::monkey::patch_all();
  fern::monkey::patch_all();
  EXPECT_TRUE(green(receive));
  fern::monkey::unpatch();
  EXPECT_FALSE(fern::monkey::is_patched(Part::Time));
  EXPECT_FALSE(green(receive));
}

TEST_F(MonkeyPatch, WhatWasUsedBeforeIsGreenAfterIt) {
  Pair pair;
  EXPECT_EQ(send(pair[1], "a", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
  fern::monkey::patch_all();
  auto receiver = fern::spawn([&] { return recv(pair[0], &byte, 1, 0); });
  fern::yield();
  EXPECT_FALSE(receiver.ready());
  EXPECT_EQ(send(pair[1], "b", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 1);
  EXPECT_EQ(byte, 'b');
}

TEST_F(MonkeyPatch, PartsGoOnAndOffByThemselves) {
  fern::monkey::patch(Part::Time | Part::Sockets);
  EXPECT_TRUE(fern::monkey::is_patched(Part::Time | Part::Sockets));
  EXPECT_FALSE(fern::monkey::is_patched(Part::Time | Part::Dns));
  fern::monkey::unpatch(Part::Sockets);
  EXPECT_TRUE(fern::monkey::is_patched(Part::Time));
  EXPECT_FALSE(fern::monkey::is_patched(Part::Sockets));
  EXPECT_FALSE(green(receive));
  fern::monkey::patch_all({.parts = Part::Sockets});
  EXPECT_TRUE(fern::monkey::is_patched(Part::Time | Part::Sockets));
  EXPECT_TRUE(green(receive));
}

TEST_F(MonkeyPatch, AWaitUnderWayEndsAsItBegan) {
  fern::monkey::patch_all();
  Pair pair;
  char byte = 0;
  auto receiver = fern::spawn([&] { return recv(pair[0], &byte, 1, 0); });
  fern::yield();
  fern::monkey::unpatch();
  EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
  EXPECT_EQ(receiver.get(), 1);
}

TEST_F(MonkeyPatch, TheOriginalBlocksItsThread) {
  fern::monkey::patch_all();
  EXPECT_FALSE(green([](int fd, void* buffer, std::size_t size) {
    return fern::monkey::original<&::recv>()(fd, buffer, size, 0);
  }));
}

TEST_F(MonkeyPatch, TheOriginalOfWhatIsNotWrappedIsRefused) {
  EXPECT_THROW(fern::monkey::original<&::getpid>(), std::logic_error);
}

TEST_F(MonkeyPatch, ANativeScopeIsNative) {
  fern::monkey::patch_all();
  EXPECT_FALSE(green([](int fd, void* buffer, std::size_t size) {
    fern::monkey::native_scope native;
    fern::monkey::native_scope inner;
    return recv(fd, buffer, size, 0);
  }));
  EXPECT_TRUE(green(receive));
}

TEST_F(MonkeyPatch, AThreadWithoutAHubIsNative) {
  fern::monkey::patch_all();
  std::thread thread([] {
    Pair pair;
    EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
    char byte = 0;
    EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
    EXPECT_EQ(usleep(1), 0);
    EXPECT_EQ(recv(-1, &byte, 1, 0), -1);
    EXPECT_EQ(errno, EBADF);
  });
  thread.join();
}

TEST_F(MonkeyPatch, ALibraryLoadedLaterIsReached) {
  fern::monkey::patch_all();
  Plugin local(RTLD_NOW | RTLD_LOCAL);
  EXPECT_TRUE(green(local.recv));
  EXPECT_FALSE(says(report(), "libmonkey_plugin.so: recv")) << report();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)

// Sanitizers refuse to load such libraries.
TEST_F(MonkeyPatch, OneThatPrefersItsOwnLibrariesIsNotAndTheReportNamesIt) {
  Plugin deep(RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  fern::monkey::patch_all();
  EXPECT_FALSE(green(deep.recv));
  EXPECT_TRUE(says(report(), "libmonkey_plugin.so: recv\n")) << report();
}

TEST_F(MonkeyPatch, TheReportNamesWhatWasLoadedIntoANamespaceOfItsOwn) {
  fern::monkey::patch_all();
  Plugin apart(dlmopen(LM_ID_NEWLM, Plugin::path().c_str(), RTLD_NOW));
  EXPECT_TRUE(says(report(), "libmonkey_plugin.so: recv\n")) << report();
}

#endif

TEST_F(MonkeyPatch, TheReportSaysWhatIsPatchedAndHowOftenItWasUsed) {
  EXPECT_TRUE(says(report(), "patched: none")) << report();
  fern::monkey::patch(Part::Sockets);
  std::string before = report();
  EXPECT_TRUE(says(before, "patched: Sockets; native: Dns")) << before;
  EXPECT_TRUE(says(before, fern::version())) << before;
  EXPECT_TRUE(green(receive));
  EXPECT_NE(report(), before);
  EXPECT_TRUE(says(before, "and 0 go past")) << before;
}

}  // namespace
