#include <string>

void connect();
void talk();

class Connection {
 public:
  ~Connection();

 private:
  fern::Socket socket_;
};
extern const std::string goodbye;
