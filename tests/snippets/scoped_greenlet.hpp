#include <cstddef>
#include <memory>
#include <string>
#include <vector>

using Url = std::string;
struct Page {};
Page fetch(const Url& url);

struct Progress {
  explicit Progress(std::size_t all);
  void add(const Page& page);
  void show();
};

extern std::shared_ptr<fern::Socket> socket;
void receive(const std::shared_ptr<fern::Socket>& socket);
void send_all(const std::shared_ptr<fern::Socket>& socket);
