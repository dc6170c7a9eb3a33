#pragma once

// ResSettings is what a program has changed in its thread's resolver state (_res), or in a state
// of its own: servers, options, timeouts, domains. A question that is answered in another thread
// takes it along.

#include <resolv.h>

#include <cstddef>

namespace fern::monkey {

class ResSettings {
 public:
  // Of a state that has not been initialised there are none.
  explicit ResSettings(const struct __res_state& from) noexcept;

  // put_into() makes an initialised state like that; true if anything was different.
  bool put_into(struct __res_state& to) const noexcept;

  // Applied is the calling thread's own state while it answers.
  class Applied {
   public:
    explicit Applied(const ResSettings& settings) noexcept;
    Applied(const Applied&) = delete;
    Applied& operator=(const Applied&) = delete;
    ~Applied();

   private:
    bool changed_ = false;
  };

 private:
  bool set_ = false;
  struct __res_state from_;
};

}  // namespace fern::monkey
