#include <poll.h>

// Another library's, as libpq's.
struct Connection;
extern Connection* connection;
int PQsocket(const Connection* connection);
int PQconsumeInput(Connection* connection);

extern int from, to;
void copy(int from, int to);

struct Client {
  explicit Client(int fd);
  void serve();
};
extern int fd;
