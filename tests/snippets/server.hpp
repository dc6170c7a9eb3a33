#include <csignal>
#include <string>

std::string now();
