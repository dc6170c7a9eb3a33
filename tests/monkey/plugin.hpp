#pragma once

// plugin.cpp, a library of its own beside the test's program, which says how it is loaded.

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>

namespace fern::testing {

class Plugin {
 public:
  static std::string path() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libmonkey_plugin.so";
  }

  explicit Plugin(int mode) : Plugin(dlopen(path().c_str(), mode)) {}
  explicit Plugin(void* handle) : handle_(handle) {
    EXPECT_NE(handle_, nullptr) << dlerror();
    if (handle_ == nullptr) return;
    recv = reinterpret_cast<decltype(recv)>(dlsym(handle_, "plugin_recv"));
  }
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  ~Plugin() {
    if (handle_ != nullptr) dlclose(handle_);
  }

  ssize_t (*recv)(int fd, void* buffer, std::size_t size) = nullptr;

 private:
  void* handle_;
};

}  // namespace fern::testing
