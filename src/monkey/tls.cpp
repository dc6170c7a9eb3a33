// A block is what the loader makes for a thread: the static TLS of all modules, and behind it
// glibc's record of the thread, at which the thread pointer points. Ours are made by the loader
// too; the record is a copy of the OS thread's, so that thread id, stack protector and pointer
// guard are the same, with the pointers into itself moved along. (GLIBC_PRIVATE names, looked up at
// run time: where one is missing the option is refused.)

#include "monkey/tls.hpp"

#include "core/hub.hpp"
#include "monkey/specials.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls_blocks.hpp"

#include <fern/detail/wait_queue.hpp>

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/rseq.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

// As the ABI has it.
struct TlsIndex {
  std::size_t module;
  std::size_t offset;
};
extern "C" void* __tls_get_addr(TlsIndex*);

namespace fern::monkey {

#ifdef FERN_WRAPS_DLOPEN

using tls::here;
using tls::Module;
using tls::move_to;

namespace {

// The first words of glibc's record, which the ABI fixes.
struct Head {
  Head* tcb;
  struct Slot* slots;  // the dynamic thread vector
  Head* self;
};

// An entry of the dynamic thread vector.
struct Slot {
  void* value;
  void* to_free;
};
void* const unallocated = reinterpret_cast<void*>(-1);

struct Glibc {
  void* (*allocate)(void*) = nullptr;
  void (*deallocate)(void*, bool) = nullptr;
  void (*init_ctype)() = nullptr;
  void (*call_destructors)() = nullptr;
  std::size_t record_size = 0;
};

Glibc glibc;
bool on = false;

fern::detail::SpinLock lock;
std::vector<Head*>* pool = nullptr;      // of blocks whose threads have ended
std::vector<Head*>* blocks = nullptr;    // all that were made: none is ever freed
std::vector<Module>* modules = nullptr;  // as last seen
std::uint64_t unloadings = 0;            // when that was
std::uint64_t late_loadings = 0;         // how often set_up_late() has been

template <class T>
T& in(Head* block, T& of_this_thread) noexcept {
  auto offset = reinterpret_cast<char*>(&of_this_thread) - here();
  return *reinterpret_cast<T*>(reinterpret_cast<char*>(block) + offset);
}

template <class Function>
void find(Function*& function, const char* name) noexcept {
  function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

// Whether a library says that its thread_locals have to be in every block.
bool needs_static(const dl_phdr_info& info) noexcept {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    auto* entry = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_FLAGS) return (entry->d_un.d_val & DF_STATIC_TLS) != 0;
    }
  }
  return false;
}

std::uint64_t count_unloadings() noexcept {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* count) {
        *static_cast<std::uint64_t*>(count) = info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

void look_at_modules() {
  std::uint64_t count = count_unloadings();
  std::vector<Module> now = tls::loaded();
  std::lock_guard guard(lock);
  modules->swap(now);
  unloadings = count;
}

// The image of what has been unloaded is not there any more.
void look_again_if_unloaded() {
  std::uint64_t count = count_unloadings();
  std::unique_lock guard(lock);
  bool same = count == unloadings;
  guard.unlock();
  if (!same) look_at_modules();
}

// Makes the record of a fresh block this thread's.
void copy_record(Head* block) noexcept {
  auto* mine = reinterpret_cast<Head*>(here());
  Slot* slots = block->slots;
  std::memcpy(block, mine, glibc.record_size);
  block->slots = slots;
  auto begin = reinterpret_cast<std::uintptr_t>(mine);
  auto* words = reinterpret_cast<std::uintptr_t*>(block);
  for (std::size_t i = 0; i < glibc.record_size / sizeof *words; ++i) {
    if (words[i] - begin < glibc.record_size) {
      words[i] += reinterpret_cast<std::uintptr_t>(block) - begin;
    }
  }
  // The kernel tells only the OS thread's block on which processor it is.
  if (__rseq_size > 0) {
    auto* area = reinterpret_cast<rseq*>(reinterpret_cast<char*>(block) + __rseq_offset);
    area->cpu_id = static_cast<std::uint32_t>(RSEQ_CPU_ID_UNINITIALIZED);
  }
}

// With the lock held.
void set_up_all(Head* block) noexcept {
  for (const Module& module : *modules) {
    if (!module.libc) tls::set_up(block, module);
  }
}

// As a new thread would find it, but for libc's own part: its caches of memory.
void renew(Head* block) noexcept {
  look_again_if_unloaded();
  {
    std::lock_guard guard(lock);
    set_up_all(block);
  }
  auto count = reinterpret_cast<std::size_t>(block->slots[-1].value);
  for (std::size_t i = 1; i <= count; ++i) {
    Slot& slot = block->slots[i];
    if (slot.to_free == nullptr) continue;
    std::free(slot.to_free);
    slot = {unallocated, nullptr};
  }
}

// The hub calls this around each turn of a greenlet.
void turn(core::Hub& hub, const core::Greenlet* next) noexcept {
  static thread_local constinit char* own = nullptr;
  if (next == nullptr) {
    // The OS thread's block is known to the hub's own turn alone.
    move_to(hub.thread_pointer);
    hub.use_eh(core::eh_globals());
    return;
  }
  if (own == nullptr) own = here();
  hub.thread_pointer = own;
  auto* thread = static_cast<const Thread*>(next->timer);
  if (thread == nullptr || thread->tls == nullptr) return;
  move_to(thread->tls);
  hub.use_eh(core::eh_globals());
}

}  // namespace

// A module that is not in static TLS has no part in a block.
std::vector<Module> tls::loaded() {
  std::vector<Module> found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* context) {
        auto& all = *static_cast<std::vector<Module>*>(context);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& header = info->dlpi_phdr[i];
          if (header.p_type != PT_TLS) continue;
          void* data = info->dlpi_tls_data;
          // This thread has not used it yet.
          if (data == nullptr && needs_static(*info)) {
            TlsIndex first{info->dlpi_tls_modid, 0};
            data = __tls_get_addr(&first);
          }
          if (data == nullptr) continue;
          auto offset = static_cast<char*>(data) - here();
          if (offset >= 0 || offset < -(1 << 20)) continue;
          bool libc = std::strstr(info->dlpi_name, "/libc.so") != nullptr;
          all.push_back({offset, reinterpret_cast<const void*>(info->dlpi_addr + header.p_vaddr),
                         header.p_filesz, header.p_memsz, libc});
        }
        return 0;
      },
      &found);
  return found;
}

void tls::set_up(void* block, const Module& module) noexcept {
  char* part = static_cast<char*>(block) + module.offset;
  std::memcpy(part, module.image, module.image_size);
  std::memset(part + module.image_size, 0, module.size - module.image_size);
}

void tls::set_up_late(const std::vector<Module>& late) {
  look_at_modules();
  std::lock_guard guard(lock);
  ++late_loadings;
  for (const Module& module : late) {
    for (Head* block : *blocks) {
      if (reinterpret_cast<char*>(block) != here()) set_up(block, module);
    }
  }
}

const char* use_tls() noexcept {
  constexpr unsigned long fsgsbase = 2;
  if ((getauxval(AT_HWCAP2) & fsgsbase) == 0) {
    return "this processor or kernel does not let programs set the thread pointer (FSGSBASE)";
  }
  find(glibc.allocate, "_dl_allocate_tls");
  find(glibc.deallocate, "_dl_deallocate_tls");
  find(glibc.init_ctype, "__ctype_init");
  find(glibc.call_destructors, "__call_tls_dtors");
  auto* size = static_cast<const std::uint32_t*>(dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread"));
  if (glibc.allocate == nullptr || glibc.deallocate == nullptr || glibc.init_ctype == nullptr ||
      glibc.call_destructors == nullptr || size == nullptr) {
    return "this glibc does not offer what is needed to make it";
  }
  glibc.record_size = *size;
  pool = new (std::nothrow) std::vector<Head*>;
  blocks = new (std::nothrow) std::vector<Head*>;
  modules = new (std::nothrow) std::vector<Module>;
  if (pool == nullptr || blocks == nullptr || modules == nullptr) return "out of memory";
  look_at_modules();
  core::Hub::around_turns = turn;
  on = true;
  return nullptr;
}

bool uses_tls() noexcept { return on; }

__attribute__((noinline)) void in_os_thread(void (*call)(void*) noexcept, void* context) noexcept {
  core::Hub* hub = on ? core::this_hub : nullptr;
  char* mine = here();
  if (hub == nullptr || hub->thread_pointer == nullptr) return call(context);
  move_to(hub->thread_pointer);
  call(context);
  move_to(mine);
}

std::ptrdiff_t to_os_thread() noexcept {
  core::Hub* hub = on ? core::this_hub : nullptr;
  if (hub == nullptr || hub->thread_pointer == nullptr) return 0;
  return static_cast<char*>(hub->thread_pointer) - here();
}

bool thread_tls_make(Thread& thread) noexcept {
  if (!on) return true;
  Head* block = nullptr;
  std::uint64_t before = 0;
  {
    std::lock_guard guard(lock);
    before = late_loadings;
    if (!pool->empty()) {
      block = pool->back();
      pool->pop_back();
    }
  }
  if (block != nullptr) {
    renew(block);
  } else {
    block = static_cast<Head*>(glibc.allocate(nullptr));
    if (block == nullptr) return false;
    std::unique_lock guard(lock);
    try {
      blocks->push_back(block);
    } catch (...) {
      guard.unlock();
      glibc.deallocate(block, true);
      return false;
    }
    // What another hub has loaded while the loader made the block.
    if (late_loadings != before) set_up_all(block);
  }
  thread.tls = block;
  return true;
}

void thread_tls_free(Thread& thread) noexcept {
  if (thread.tls == nullptr) return;
  std::lock_guard guard(lock);
  try {
    pool->push_back(static_cast<Head*>(thread.tls));
  } catch (...) {
    // Lost, with its caches.
  }
  thread.tls = nullptr;
}

void tls_forked() noexcept {
  Thread* thread = self();
  core::Hub* hub = core::Hub::left();
  if (!on) return;
  lock.unlock();
  tls::late_libraries_forked();
  if (hub == nullptr || thread == nullptr || thread->tls == nullptr) return;
  hub->thread_pointer = std::exchange(thread->tls, nullptr);
}

// Runs in the block of whoever ran before: the hub's turn has not seen the thread yet.
void thread_tls_began(Thread& thread) noexcept {
  if (thread.tls == nullptr) return;
  auto* block = static_cast<Head*>(thread.tls);
  core::Hub& hub = *core::Hub::here();
  copy_record(block);
  in(block, core::this_hub) = &hub;
  move_to(block);
  hub.use_eh(core::eh_globals());
  glibc.init_ctype();
}

void thread_tls_destroy(Thread& thread) noexcept {
  if (thread.tls != nullptr) glibc.call_destructors();
}

// From here on the thread is in the OS thread's block again.
void thread_tls_ended(Thread& thread) noexcept {
  if (thread.tls == nullptr) return;
  core::Hub& hub = *core::Hub::here();
  move_to(hub.thread_pointer);
  hub.use_eh(core::eh_globals());
  thread_tls_free(thread);
}

#else

const char* use_tls() noexcept { return "not with a sanitizer, nor on this processor"; }
bool uses_tls() noexcept { return false; }
void tls_forked() noexcept {}
void in_os_thread(void (*call)(void*) noexcept, void* context) noexcept { call(context); }
std::ptrdiff_t to_os_thread() noexcept { return 0; }
bool thread_tls_make(Thread&) noexcept { return true; }
void thread_tls_free(Thread&) noexcept {}
void thread_tls_began(Thread&) noexcept {}
void thread_tls_destroy(Thread&) noexcept {}
void thread_tls_ended(Thread&) noexcept {}

#endif

}  // namespace fern::monkey
