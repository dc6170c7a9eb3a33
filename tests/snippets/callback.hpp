#include <functional>
#include <stdexcept>
#include <utility>

struct Request {};
struct Reply {};
struct Client {
  void send(const Request& request, std::function<void(int status, Reply reply)> answered);
};
extern Request request;
extern Client client;
