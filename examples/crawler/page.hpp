#pragma once

// A Page is whatever reads the links of a page as it arrives: our LinkScanner, or LinkParser, which
// is libxml2's.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "link_scanner.hpp"
#include "links.hpp"

namespace crawler {

class Page {
 public:
  Page(bool libxml2, std::string_view charset) {
    if (libxml2) {
      reader_.emplace<LinkParser>(charset);
    } else {
      reader_.emplace<LinkScanner>(charset);
    }
  }

  void feed(std::string_view bytes) {
    std::visit([&](auto& reader) { reader.feed(bytes); }, reader_);
  }
  void finish() {
    std::visit([](auto& reader) { reader.finish(); }, reader_);
  }
  const std::vector<std::string>& links() const {
    return std::visit([](auto& reader) -> auto& { return reader.links(); }, reader_);
  }
  // references() are the links without those that differ from one before by the fragment only: what
  // is worth resolving. They are views of links().
  std::vector<std::string_view> references() const {
    std::vector<std::string_view> references;
    std::unordered_set<std::string_view> seen;
    seen.reserve(links().size());
    for (std::string_view link : links()) {
      std::size_t end = link.find('#');
      // A blank belongs to the address only before a fragment.
      if (end != std::string_view::npos && end > 0 && is_blank(link[end - 1])) ++end;
      if (seen.insert(link.substr(0, end)).second) references.push_back(link);
    }
    return references;
  }
  const std::optional<std::string>& base() const {
    return std::visit([](auto& reader) -> auto& { return reader.base(); }, reader_);
  }
  std::string_view defect() const {
    return std::visit([](auto& reader) { return reader.defect(); }, reader_);
  }

 private:
  static bool is_blank(char c) noexcept { return static_cast<unsigned char>(c) <= ' '; }

  std::variant<LinkScanner, LinkParser> reader_{std::in_place_type<LinkScanner>, ""};
};

}  // namespace crawler
