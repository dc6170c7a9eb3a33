// dlopen() where green threads have blocks of their own.
//
// A library with thread_locals that have a place in every block gets it from the loader: in those
// that it knows, of OS threads. Ours get it here. The library's constructors run before that, so
// they do in the OS thread's block, and what they have made of it becomes their thread's.

#include "core/hub.hpp"
#include "monkey/original.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"
#include "monkey/tls_blocks.hpp"

#ifdef FERN_WRAPS_DLOPEN

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace fern::monkey {

using tls::Module;

namespace {

constinit Original<void*(const char*, int)> libc_dlopen{"dlopen"};
constinit std::recursive_mutex opening;  // a constructor may open others

class InOsThread {
 public:
  InOsThread() noexcept : thread_(self()) {
    if (thread_ != nullptr && thread_->tls == nullptr) thread_ = nullptr;
    if (thread_ == nullptr) return;
    own_ = thread_->tls;
    go(thread_->hub->thread_pointer);  // in a fork's child too
  }
  InOsThread(const InOsThread&) = delete;
  InOsThread& operator=(const InOsThread&) = delete;
  ~InOsThread() {
    if (thread_ != nullptr) go(own_);
  }
  void* own() const noexcept { return own_; }

 private:
  __attribute__((noinline)) void go(void* block) noexcept {
    thread_->tls = block;  // where a switch comes back to
    tls::move_to(block);
    thread_->hub->use_eh(core::eh_globals());
  }
  Thread* thread_;
  void* own_ = nullptr;
};

bool is_loaded(const char* file) noexcept {
  void* handle = libc_dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

// The loader's own folders, which it looks into last.
bool is_default(std::string_view folder) noexcept {
  if (folder.starts_with("/usr/")) folder.remove_prefix(4);
  if (folder == "/lib" || folder == "/lib64") return true;
  return folder.starts_with("/lib/") && folder.find('/', 5) == folder.npos &&
         folder.find("-linux-gnu") != folder.npos;
}

// Where the caller's own search path has it: the loader takes us for the caller.
std::string found_for(const void* caller, const char* file) {
  Dl_info about;
  void* map = nullptr;
  Dl_serinfo size;
  if (dladdr1(caller, &about, &map, RTLD_DL_LINKMAP) == 0 || map == nullptr ||
      dlinfo(map, RTLD_DI_SERINFOSIZE, &size) != 0)
    return file;
  std::unique_ptr<char[]> room(new char[size.dls_size]);
  auto& paths = *new (room.get()) Dl_serinfo(size);
  if (dlinfo(map, RTLD_DI_SERINFOSIZE, &paths) != 0 || dlinfo(map, RTLD_DI_SERINFO, &paths) != 0)
    return file;
  for (unsigned i = 0; i < paths.dls_cnt; ++i) {
    std::string_view folder = (&paths.dls_serpath[0])[i].dls_name;
    if (is_default(folder)) break;  // before, it looks into its cache
    std::string whole = std::string(folder) + "/" + file;
    if (access(whole.c_str(), R_OK) == 0) return whole;
  }
  return file;
}

void* open(const char* file, int mode) {
  std::lock_guard guard(opening);
  InOsThread there;
  std::vector<Module> before = tls::loaded();
  void* handle = libc_dlopen(file, mode);
  std::vector<Module> late = tls::loaded();
  std::erase_if(late, [&](const Module& module) {
    return std::find(before.begin(), before.end(), module) != before.end();
  });
  if (late.empty()) return handle;
  tls::set_up_late(late);
  if (there.own() == nullptr) return handle;
  for (const Module& module : late) {
    char* part = tls::here() + module.offset;
    std::memcpy(static_cast<char*>(there.own()) + module.offset, part, module.size);
    tls::set_up(tls::here(), module);
  }
  return handle;
}

__attribute__((noinline)) void* dlopen_here(const char* file, int mode) {
  const void* caller = __builtin_return_address(0);
  try {
    if (file != nullptr && *file != '\0' && std::strchr(file, '/') == nullptr && !is_loaded(file)) {
      std::string found = found_for(caller, file);
      if (void* handle = open(found.c_str(), mode)) return handle;
      if (found != file) {
        if (void* handle = open(file, mode)) return handle;
      }
    } else if (void* handle = open(file, mode)) {
      return handle;
    }
  } catch (...) {
  }
  return libc_dlopen(file, mode);  // so that dlerror() says why in this thread
}

}  // namespace

// It is jumped to, for the loader looks from where it is called.
extern "C" __attribute__((visibility("hidden"), used)) void* fern_dlopen_target() noexcept {
  if (!uses_tls() || !threads_green()) return reinterpret_cast<void*>(libc_dlopen.get());
  return reinterpret_cast<void*>(&dlopen_here);
}

asm(R"(
  .text
  .globl dlopen
  .type dlopen, @function
dlopen:
  .cfi_startproc
  endbr64
  pushq %rdi
  .cfi_adjust_cfa_offset 8
  pushq %rsi
  .cfi_adjust_cfa_offset 8
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  call fern_dlopen_target
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %rsi
  .cfi_adjust_cfa_offset -8
  popq %rdi
  .cfi_adjust_cfa_offset -8
  jmp *%rax
  .cfi_endproc
  .size dlopen, . - dlopen
)");

void tls::late_libraries_forked() noexcept { ::new (&opening) std::recursive_mutex; }

}  // namespace fern::monkey

#endif
