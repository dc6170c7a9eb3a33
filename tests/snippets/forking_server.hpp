#include <csignal>
#include <string>

std::string decode(std::string data);
