#include "debug/frames.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <ostream>

namespace fern::debug {
namespace {

std::string demangled(const char* symbol) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free);
  return text != nullptr ? text.get() : symbol;
}

// A return address is one past the call, which may be the next function's first byte.
bool look_up(void* address, Dl_info& info) {
  return dladdr(static_cast<const char*>(address) - 1, &info) != 0 && info.dli_fname != nullptr;
}

}  // namespace

void write_frame(std::ostream& out, void* address) {
  Dl_info info;
  out << "      ";
  if (!look_up(address, info)) {
    out << address << '\n';
    return;
  }
  std::string module = info.dli_fname;
  module.erase(0, module.rfind('/') + 1);
  if (info.dli_sname != nullptr) out << demangled(info.dli_sname) << "  ";
  auto offset = static_cast<std::uintptr_t>(static_cast<const char*>(address) -
                                            static_cast<const char*>(info.dli_fbase));
  out << '(' << module << "+0x" << std::hex << offset << std::dec << ")\n";
}

std::string function_at(void* address) {
  Dl_info info;
  return look_up(address, info) && info.dli_sname != nullptr ? demangled(info.dli_sname) : "";
}

}  // namespace fern::debug
