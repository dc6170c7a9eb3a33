#include "core/fault.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "core/stack.hpp"

#include <fern/errors.hpp>

#include <cxxabi.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <typeinfo>

namespace fern::core {
namespace {

constexpr std::size_t alternate_size = 64 * 1024;

struct sigaction previous_action;
std::terminate_handler previous_terminate;
thread_local void* alternate_stack = nullptr;

void say(const char* text) noexcept { real::write_all(2, text, std::strlen(text)); }

// Async-signal-safe as far as backtrace() is once it has been loaded.
void name_overflow(const Greenlet& greenlet) noexcept {
  char name[64];
  char text[512];
  std::snprintf(text, sizeof text,
                "fern: stack overflow in greenlet %s (id %llu, %zu KiB): give it more with "
                "SpawnOptions::stack_size\n",
                plain_name(greenlet, name, sizeof name),
                static_cast<unsigned long long>(id_of(greenlet)), greenlet.slab->stride / 1024);
  say(text);
  void* frames[64];
  int count = backtrace(frames, 64);
  backtrace_symbols_fd(frames, count, 2);
}

void on_fault(int number, siginfo_t* info, void* machine) {
  if (info->si_code > 0) {
    StackAddress at = stack_at(info->si_addr);
    if (at.in_guard && at.block != nullptr && at.block->state == State::Ready)
      name_overflow(*at.block);
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(number, info, machine);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(number);
  } else {
    // Returning faults again and dies; a signal that was only sent has to be sent again.
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);
  }
}

[[noreturn]] void on_terminate() {
  Hub* hub = Hub::here();
  if (hub != nullptr && std::current_exception() != nullptr) {
    const char* what = nullptr;
    try {
      throw;
    } catch (const GreenletExit&) {
      what = "was killed inside a noexcept function or destructor: hold a ShieldKill there";
    } catch (const TimeoutError&) {
      what = "timed out inside a noexcept function or destructor: hold a ShieldKill there";
    } catch (const LoopExit&) {
      what = "would block forever, and its LoopExit was not caught";
    } catch (...) {
    }
    if (what != nullptr) {
      char name[64];
      char text[512];
      const Greenlet& running = hub->running();
      const char* shown = plain_name(running, name, sizeof name);
      std::snprintf(text, sizeof text, "fern: greenlet %s (id %llu) %s\n", shown,
                    static_cast<unsigned long long>(id_of(running)), what);
      say(text);
    }
  }
  if (previous_terminate != nullptr) previous_terminate();
  std::abort();
}

}  // namespace

const char* plain_name(const Greenlet& greenlet, char* room, std::size_t size) noexcept {
  if (greenlet.name != nullptr) return greenlet.name->c_str();
  if (greenlet.slab == nullptr) return "main";
  std::snprintf(room, size, "Greenlet-%llu", static_cast<unsigned long long>(id_of(greenlet)));
  return room;
}

void fault_handler_install() noexcept {
  void* frame;
  backtrace(&frame, 1);  // loads what it needs, which a signal handler may not

  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &previous_action);
  previous_terminate = std::set_terminate(on_terminate);
}

void fault_handler_thread() noexcept {
  stack_t now{};
  if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
  void* base =
      mmap(nullptr, alternate_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return;  // overflows will not be named, that is all
  stack_t stack{};
  stack.ss_sp = base;
  stack.ss_size = alternate_size;
  sigaltstack(&stack, nullptr);
  alternate_stack = base;
}

void fault_handler_thread_end() noexcept {
  if (alternate_stack == nullptr) return;
  stack_t now{};
  if (sigaltstack(nullptr, &now) == 0 && now.ss_sp == alternate_stack) {
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    sigaltstack(&off, nullptr);
  }
  munmap(alternate_stack, alternate_size);
  alternate_stack = nullptr;
}

void report_current(const char* context) noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  int status = 0;
  char* readable =
      type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  const char* shown = readable != nullptr ? readable : "an unknown exception";
  try {
    std::string text = std::string("fern: ") + context + " failed with " + shown;
    try {
      throw;
    } catch (const std::exception& error) {
      text += std::string(": ") + error.what();
    } catch (...) {
    }
    text += '\n';
    real::write_all(2, text.data(), text.size());
  } catch (...) {
    say("fern: an exception was lost for want of memory\n");
  }
  std::free(readable);
}

}  // namespace fern::core
