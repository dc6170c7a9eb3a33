#include <exception>
#include <iostream>
#include <ranges>
#include <string>
#include <vector>

struct Page {
  std::string title;
};
extern std::vector<std::string> urls;
Page fetch(const std::string& url);
bool is_long(const Page& page);

extern fern::Imap<Page> results;
void use(const Page& page);
void report(const std::exception& error);
