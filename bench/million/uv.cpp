// libuv 1.44.2 (libuv1-dev), -O2: the limit of the sleepers: a uv_timer_t each, and no task.
#include <uv.h>

#include "million.hpp"

namespace {

struct Sleep {
  uv_timer_t timer;
  million::Clock::time_point due;
  million::Sleepers* all;
};

}  // namespace

int main(int argc, char** argv) {
  million::Job job = million::job(argc, argv);
  if (job.parked) return 2;
  uv_loop_t* loop = uv_default_loop();
  million::Sleepers all(job.count);
  std::vector<Sleep> sleeps(static_cast<std::size_t>(job.count));
  for (std::int64_t i = 0; i < job.count; ++i) {
    Sleep& each = sleeps[static_cast<std::size_t>(i)];
    each.due = all.due(i);
    each.all = &all;
    each.timer.data = &each;
    uv_timer_init(loop, &each.timer);
    uv_update_time(loop);
    uv_timer_start(
        &each.timer,
        [](uv_timer_t* timer) {
          auto* self = static_cast<Sleep*>(timer->data);
          self->all->woke(self->due);
        },
        static_cast<std::uint64_t>(
            std::chrono::ceil<std::chrono::milliseconds>(each.due - million::Clock::now()).count()),
        0);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  all.tell(job.count);
}
