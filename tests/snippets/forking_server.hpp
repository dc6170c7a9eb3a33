#include <csignal>
#include <string>

std::string decode(const std::string& packed);
