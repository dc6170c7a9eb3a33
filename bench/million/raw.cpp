// Boost.Context 1.81's bare stacks (libboost-context1.81-dev), -O2, unguarded: the limit of memory
// per parked task. A task is a page.
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "million.hpp"

namespace {

namespace context = boost::context::detail;

std::int64_t waiting = 0;

void park(context::transfer_t from) {
  ++waiting;
  context::jump_fcontext(from.fctx, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  million::Job job = million::job(argc, argv);
  if (!job.parked) return 2;
  constexpr std::size_t stride = 64 * 1024;
  auto count = static_cast<std::size_t>(job.count);
  std::vector<context::fcontext_t> tasks;
  tasks.reserve(count);
  million::Parked before;
  auto* stacks = static_cast<char*>(mmap(nullptr, count * stride, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stacks == MAP_FAILED) return 1;
  madvise(stacks, count * stride, MADV_NOHUGEPAGE);
  for (std::size_t i = 0; i < count; ++i) {
    auto made = context::make_fcontext(stacks + (i + 1) * stride, stride, park);
    tasks.push_back(context::jump_fcontext(made, nullptr).fctx);
  }
  before.tell(job.count, waiting);
}
