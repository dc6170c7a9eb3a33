// res_query and its kin, which speak DNS themselves: in a resolver's thread, with a state of its
// own that has the caller's settings. So nobody who stops waiting leaves a thread behind that
// writes into his memory, and greenlets of one thread, who share its _res, ask at the same time.

#include "io/workers.hpp"
#include "monkey/ask.hpp"
#include "monkey/green.hpp"
#include "monkey/res_settings.hpp"

#include <arpa/nameser.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace fern::monkey {

ResSettings::ResSettings(const struct __res_state& from) noexcept
    : set_((from.options & RES_INIT) != 0), from_(from) {}

bool ResSettings::put_into(struct __res_state& to) const noexcept {
  if (!set_) return false;
  bool changed = false;
  auto put = [&changed](auto& at, const auto& value) {
    if (std::memcmp(&at, &value, sizeof at) == 0) return;
    std::memcpy(&at, &value, sizeof at);
    changed = true;
  };
  put(to.retrans, from_.retrans);
  put(to.retry, from_.retry);
  put(to.options, from_.options);
  put(to.nscount, from_.nscount);
  put(to.nsaddr_list, from_.nsaddr_list);
  if (to.ndots != from_.ndots) {
    to.ndots = from_.ndots;
    changed = true;
  }
  if (std::memcmp(to.defdname, from_.defdname, sizeof to.defdname) != 0) {
    std::memcpy(to.defdname, from_.defdname, sizeof to.defdname);
    changed = true;
    // The search list points into it, its first entry at its beginning.
    const char* before = from_.dnsrch[0];
    for (std::size_t i = 0; i < MAXDNSRCH; ++i) {
      const char* domain = from_.dnsrch[i];
      bool inside =
          domain != nullptr && domain >= before && domain < before + sizeof from_.defdname;
      to.dnsrch[i] = inside ? to.defdname + (domain - before) : nullptr;
    }
  }
  return changed;
}

ResSettings::Applied::Applied(const ResSettings& settings) noexcept {
  if (!settings.set_) return;
  if ((_res.options & RES_INIT) == 0 && res_init() != 0) return;
  changed_ = settings.put_into(_res);
}

ResSettings::Applied::~Applied() {
  if (changed_) res_init();
}

namespace green {
namespace {

// What call(state, answer, size) says in a state of its own. After a failure, too, the answer may
// hold what the server said.
template <class Call>
struct ResQuestion : io::Question {
  ResQuestion(const struct __res_state& from, const unsigned char* answer, int size, Call call)
      : settings(from),
        bytes(answer, answer + std::max(size, 0)),
        size(size),
        call(std::move(call)),
        host_error(from.res_h_errno),
        thread_host_error(h_errno) {
    // glibc looks at the header whatever the size.
    if (bytes.size() < NS_HFIXEDSZ) bytes.resize(NS_HFIXEDSZ);
  }

  void answer() noexcept {
    struct __res_state state{};
    if (res_ninit(&state) != 0) {
      saved_errno = errno;
      host_error = thread_host_error = NETDB_INTERNAL;
      return;
    }
    settings.put_into(state);
    state.res_h_errno = host_error;
    h_errno = thread_host_error;
    result = call(&state, bytes.data(), size);
    saved_errno = errno;
    host_error = state.res_h_errno;
    thread_host_error = h_errno;
    res_nclose(&state);
  }

  ResSettings settings;
  std::vector<unsigned char> bytes;
  int size;
  Call call;
  int result = -1;
  int saved_errno = 0;
  int host_error;  // the state's, which a call that succeeds may leave alone
  int thread_host_error;
};

int failed(struct __res_state& state, int error) noexcept {
  state.res_h_errno = h_errno = NETDB_INTERNAL;
  errno = error;
  return -1;
}

// make_call() copies the arguments.
template <class MakeCall>
int in_thread(struct __res_state& state, const char* what, unsigned char* answer, int size,
              MakeCall make_call) noexcept {
  try {
    using Asked = ResQuestion<decltype(make_call())>;
    auto question = std::make_unique<Asked>(state, answer, size, make_call());
    if (!ask(question, io::resolver_workers(), what)) return failed(state, errno);
    std::copy_n(question->bytes.begin(), std::max(size, 0), answer);
    state.res_h_errno = question->host_error;
    h_errno = question->thread_host_error;
    errno = question->saved_errno;
    return question->result;
  } catch (...) {
    return failed(state, ENOMEM);
  }
}

}  // namespace

int res_nquery(res_state state, const char* name, int query_class, int type, unsigned char* answer,
               int size) noexcept {
  return in_thread(*state, "res_query()", answer, size, [&] {
    return
        [name = std::string(name), query_class, type](res_state own, unsigned char* to, int room) {
          return native::res_nquery(own, name.c_str(), query_class, type, to, room);
        };
  });
}

int res_nsearch(res_state state, const char* name, int query_class, int type, unsigned char* answer,
                int size) noexcept {
  return in_thread(*state, "res_search()", answer, size, [&] {
    return
        [name = std::string(name), query_class, type](res_state own, unsigned char* to, int room) {
          return native::res_nsearch(own, name.c_str(), query_class, type, to, room);
        };
  });
}

int res_nquerydomain(res_state state, const char* name, const char* domain, int query_class,
                     int type, unsigned char* answer, int size) noexcept {
  return in_thread(*state, "res_querydomain()", answer, size, [&] {
    return [name = std::string(name), alone = domain == nullptr,
            domain = std::string(domain == nullptr ? "" : domain), query_class,
            type](res_state own, unsigned char* to, int room) {
      return native::res_nquerydomain(own, name.c_str(), alone ? nullptr : domain.c_str(),
                                      query_class, type, to, room);
    };
  });
}

int res_nsend(res_state state, const unsigned char* question, int question_size,
              unsigned char* answer, int size) noexcept {
  return in_thread(*state, "res_send()", answer, size, [&] {
    return [bytes = std::vector<unsigned char>(question, question + std::max(question_size, 0))](
               res_state own, unsigned char* to, int room) {
      return native::res_nsend(own, bytes.data(), static_cast<int>(bytes.size()), to, room);
    };
  });
}

int res_query(const char* name, int query_class, int type, unsigned char* answer,
              int size) noexcept {
  return green::res_nquery(&_res, name, query_class, type, answer, size);
}

int res_search(const char* name, int query_class, int type, unsigned char* answer,
               int size) noexcept {
  return green::res_nsearch(&_res, name, query_class, type, answer, size);
}

int res_querydomain(const char* name, const char* domain, int query_class, int type,
                    unsigned char* answer, int size) noexcept {
  return green::res_nquerydomain(&_res, name, domain, query_class, type, answer, size);
}

int res_send(const unsigned char* question, int question_size, unsigned char* answer,
             int size) noexcept {
  return green::res_nsend(&_res, question, question_size, answer, size);
}

}  // namespace green
}  // namespace fern::monkey
