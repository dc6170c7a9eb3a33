#include <csignal>
#include <string>
