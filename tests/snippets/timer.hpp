#include <iostream>
#include <optional>
#include <string>

bool ask();
struct Connection {
  void close();
  std::optional<std::string> next();
};
extern Connection connection;
void handle(const std::string& message);
