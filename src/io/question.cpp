#include "io/question.hpp"

#include "io/fd_table.hpp"

namespace fern::io {
namespace {

void send_back(Job& job) noexcept {
  auto& question = static_cast<Question&>(job);
  question.asked_in->post(static_cast<detail::Remote&>(question));
}

void arrive(detail::Remote* remote) noexcept {
  auto* question = static_cast<Question*>(remote);
  if (question->asker == nullptr) {
    question->drop(question);
    return;
  }
  question->done = true;
  core::Hub::wake(*question->asker, core::Wake::Notified);
}

}  // namespace

int wait_for_answer(Question& question, Workers& workers, const char* what,
                    Deadline deadline) noexcept {
  core::Hub& hub = *core::Hub::here();
  if (hub.on_own_stack()) return error_in_hub;
  hub.loop();  // a forked child begins anew first
  question.finish = send_back;
  static_cast<detail::Remote&>(question).run = arrive;
  question.asked_in = &hub;
  question.asker = &hub.running();
  if (int error = workers.submit(question); error != 0) {
    question.asked_in = nullptr;
    return error;
  }
  core::Hub::External external(hub);
  core::Wake why = core::Wake::Notified;
  while (!question.done && why == core::Wake::Notified) {
    if (question.in_vain != nullptr && question.in_vain(question)) break;
    why = hub.try_park(what, -1, deadline);
  }
  if (question.done) return 0;
  question.asker = nullptr;  // it comes back, to be deleted
  return why == core::Wake::TimedOut ? error_deadline : error_interrupted;
}

}  // namespace fern::io
