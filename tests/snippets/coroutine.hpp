#include <coroutine>
#include <exception>

// As little as a coroutine's type can be.
template <class T>
struct Task {
  struct promise_type {
    Task get_return_object();
    std::suspend_always initial_suspend() noexcept;
    std::suspend_always final_suspend() noexcept;
    void return_value(T value);
    void unhandled_exception();
  };
  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiter);
  T await_resume();
};

int fetch_number(const char* name);
extern fern::AsyncResult<int> result;
Task<int> add();

struct Request {};
struct Reply {};
struct Client {
  Task<Reply> async_send(const Request& request);
};
extern Request request;
extern Client client;
