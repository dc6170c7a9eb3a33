#include <string>

struct Session {
  void touch();
};
Session open_session();
struct Request {
  std::string user;
};
