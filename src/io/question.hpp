#pragma once

// A Question is a job whose asker may stop waiting: the answer comes all the same, and is thrown
// away. So it lives on the heap, and has everything that it needs in itself.
//
//   struct Sum : io::Question {
//     int a, b, sum;
//     void answer() noexcept { sum = slowly(a, b); }      // in a thread
//   };
//   auto sum = std::make_unique<Sum>();
//   int error = io::ask(sum, io::common_workers(), "sum()", deadline);
//   if (error == 0) use(sum->sum);

#include "core/hub.hpp"
#include "io/workers.hpp"

#include <fern/deadline.hpp>

#include <memory>

namespace fern::io {

struct Question : Job, detail::Remote {
  core::Hub* asked_in = nullptr;
  core::Greenlet* asker = nullptr;  // that hub's thread only; null once it has stopped waiting
  void (*drop)(Question*) noexcept = nullptr;  // deletes it
  // Whether its asker, who has been woken, is not to wait on; null: he is.
  bool (*in_vain)(const Question&) noexcept = nullptr;
  bool done = false;  // that hub's thread only
};

// wait_for_answer() is ask() but for the types.
FERN_INTERNAL int wait_for_answer(Question& question, Workers& workers, const char* what,
                                  Deadline deadline) noexcept;

// ask() has a question answered in a thread, and parks meanwhile. 0: it has been. Else an errno:
// error_deadline or error_interrupted (a kill, a Timeout or in_vain()), and the question is ours no
// more; any other one, and there was no thread for it.
template <class Q>
int ask(std::unique_ptr<Q>& question, Workers& workers, const char* what,
        Deadline deadline) noexcept {
  question->work = [](Job& job) noexcept { static_cast<Q&>(job).answer(); };
  question->drop = [](Question* self) noexcept { delete static_cast<Q*>(self); };
  int error = wait_for_answer(*question, workers, what, deadline);
  if (error != 0 && question->asked_in != nullptr) question.release();
  return error;
}

}  // namespace fern::io
