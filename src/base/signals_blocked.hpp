#pragma once

// SignalsBlocked is for the start of a thread of ours, which inherits the mask. Signals from
// outside are for threads that know what to do about them; what a thread does to itself, a bad
// access, say, is its own. Where threads are green, and have masks of their own, this one is
// native.

#include "base/native.hpp"

#include <pthread.h>

#include <csignal>

namespace fern::base {

class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&all, own);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  NativeScope native_;
  sigset_t before_;
};

}  // namespace fern::base
