#pragma once

// ask() has a question of a wrapped call answered in a worker thread, where everything is native.
// False, with errno ECANCELED or ETIMEDOUT, when a kill or a Timeout ended the waiting: the answer
// is thrown away when it comes. Without a thread the answer blocks this one.

#include "base/native.hpp"
#include "io/fd_table.hpp"
#include "io/question.hpp"
#include "monkey/wait.hpp"

#include <memory>

namespace fern::monkey {

template <class Q>
bool ask(std::unique_ptr<Q>& question, io::Workers& workers, const char* what) noexcept {
  if (refused()) return false;
  int error = io::ask(question, workers, what, {});
  if (error == 0) return true;
  if (error == io::error_interrupted) {
    errno = core::refuse(core::Hub::here()->running());
    return false;
  }
  base::NativeScope native;
  question->answer();
  return true;
}

// natively() makes a call that does not block, and that may call wrapped functions itself.
template <class Call>
auto natively(Call call) noexcept {
  base::NativeScope native;
  return call();
}

}  // namespace fern::monkey
