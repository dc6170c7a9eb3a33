#include <iostream>
#include <string>

struct Table {};
extern std::string text;
Table parse(const std::string& text);
