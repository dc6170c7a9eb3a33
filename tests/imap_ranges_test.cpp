#include <fern/event.hpp>
#include <fern/pool.hpp>

#include <algorithm>
#include <concepts>
#include <forward_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "imaps.hpp"

using namespace fern::testing;
using fern::GreenPool;
using fern::Imap;

TEST_F(ImapTest, SeveralRangesAreReadToTheEndOfTheShortest) {
  GreenPool pool(2);
  Log log;
  auto sum = [](int a, int b, int c) { return 100 * a + 10 * b + c; };
  EXPECT_EQ(collect(pool.imap(sum, Numbers(9, &log), std::vector{1, 2}, std::views::iota(5))),
            (Log{"15", "126"}));
  // The first was asked for a third before the second was found at its end.
  EXPECT_EQ(joined(log), "R0 R1 R2");
}

TEST_F(ImapTest, UnorderedReadsSeveralRangesToo) {
  GreenPool pool(2);
  auto sum = [](int a, int b) { return a + b; };
  EXPECT_EQ(collect(pool.imap_unordered(sum, std::vector{1, 2, 3}, std::vector{10, 20})),
            (Log{"11", "22"}));
}

TEST_F(ImapTest, StarmapSpreadsTuples) {
  GreenPool pool(2);
  auto product = [](int a, int b) { return a * b; };
  std::vector<std::tuple<int, int>> tuples{{1, 2}, {3, 4}};
  EXPECT_EQ(collect(pool.starmap(product, tuples)), (Log{"2", "12"}));
  EXPECT_EQ(collect(pool.starmap(product, std::map<int, int>{{1, 2}, {3, 4}})), (Log{"2", "12"}));
  std::vector<std::tuple<std::unique_ptr<int>>> movable;
  movable.emplace_back(std::make_unique<int>(6));
  EXPECT_EQ(collect(pool.starmap([](std::unique_ptr<int> p) { return *p; }, std::move(movable))),
            (Log{"6"}));
}

TEST_F(ImapTest, AnLvalueRangeIsReferencedAndItsElementsAreCopied) {
  GreenPool pool(2);
  std::list<std::string> words{"a", "b"};
  auto results = pool.imap([](std::string word) { return std::move(word) + "!"; }, words);
  words.push_back("c");
  std::string all;
  for (auto& word : results) all += word;
  EXPECT_EQ(all, "a!b!c!");
  EXPECT_EQ(words, (std::list<std::string>{"a", "b", "c"}));
}

TEST_F(ImapTest, ElementsOfARangeThatWasMovedInAreMoved) {
  GreenPool pool(2);
  auto own = [](std::unique_ptr<int> p) { return p; };
  auto make = [] {
    std::vector<std::unique_ptr<int>> made;
    for (int i = 0; i < 3; ++i) made.push_back(std::make_unique<int>(i));
    return made;
  };
  int sum = 0;
  for (auto& p : pool.imap(own, make())) sum += *p;
  for (auto& p : pool.imap(own, make() | std::views::all)) sum += *p;
  EXPECT_EQ(sum, 6);
}

TEST_F(ImapTest, ElementsBehindAViewAreNotMoved) {
  GreenPool pool(2);
  std::vector<std::string> words{"a long word that lives on the heap", "another one of these"};
  auto take = [](std::string word) { return static_cast<int>(word.size()); };
  collect(pool.imap(take, std::span(words)));
  collect(pool.imap(take, std::views::all(words)));
  collect(pool.imap(take, words | std::views::reverse));
  collect(pool.imap(take, std::ranges::subrange(words)));
  EXPECT_EQ(words[0].size(), 34u);
  EXPECT_EQ(words[1].size(), 20u);
}

TEST_F(ImapTest, ReadsRangesOfEveryKind) {
  GreenPool pool(2);
  const std::vector<int> constant{1, 2};
  EXPECT_EQ(collect(pool.imap(same, constant)), (Log{"1", "2"}));
  int array[] = {1, 2};
  EXPECT_EQ(collect(pool.imap(same, array)), (Log{"1", "2"}));
  std::vector<bool> bits{true, false};
  EXPECT_EQ(collect(pool.imap([](bool bit) { return bit ? 1 : 0; }, bits)), (Log{"1", "0"}));
  EXPECT_EQ(collect(pool.imap([](bool bit) { return bit ? 1 : 0; }, std::vector<bool>{true})),
            (Log{"1"}));
  std::istringstream text("3 4 5");
  EXPECT_EQ(collect(pool.imap(same, std::ranges::istream_view<int>(text))), (Log{"3", "4", "5"}));
  std::istringstream more("6 7");
  auto numbers = std::ranges::istream_view<int>(more);
  EXPECT_EQ(collect(pool.imap(same, numbers)), (Log{"6", "7"}));
  auto word = [](const std::string& w) { return static_cast<int>(w.size()); };
  std::istringstream words("a bb");
  EXPECT_EQ(collect(pool.imap(word, std::ranges::subrange(std::istream_iterator<std::string>(words),
                                                          std::istream_iterator<std::string>()))),
            (Log{"1", "2"}));
  EXPECT_EQ(collect(pool.imap(same, std::forward_list<int>{8})), (Log{"8"}));
  EXPECT_EQ(collect(pool.imap(same, std::views::iota(0) | std::views::filter([](int i) {
                                      return i % 2 == 1;
                                    }) | std::views::take(3))),
            (Log{"1", "3", "5"}));
  EXPECT_EQ(collect(pool.imap([](char c) { return int{c}; }, std::string_view("A"))), (Log{"65"}));
  EXPECT_EQ(collect(pool.imap(same, pool.imap(same, std::vector{1, 2, 3}))), (Log{"1", "2", "3"}));
  auto inner = pool.imap(same, std::vector{1, 2});
  EXPECT_EQ(collect(pool.imap(same, inner)), (Log{"1", "2"}));
}

TEST_F(ImapTest, AnIstreamIsReadNoFurtherThanItIsNeeded) {
  GreenPool pool(1);
  std::istringstream text("0 1 2 3 4 5");
  {
    auto results = pool.imap(same, std::ranges::istream_view<int>(text));
    EXPECT_EQ(*results.next(), 0);
  }
  int next = -1;
  text >> next;
  EXPECT_EQ(next, 2);
}

TEST_F(ImapTest, ResultsMayBeOfEveryKind) {
  GreenPool pool(2);
  std::vector<int> input{1, 2};
  // A reference is copied; what cannot even be moved is made in place.
  static_assert(
      std::same_as<decltype(pool.imap([&](int) -> int& { return input[0]; }, input)), Imap<int>>);
  static_assert(
      std::same_as<decltype(pool.imap([](int) -> const char(&)[3] { return "ab"; }, input)),
                   Imap<const char*>>);
  struct Fixed {
    explicit Fixed(int value) : value(value) {}
    Fixed(Fixed&&) = delete;
    int value;
  };
  int sum = 0;
  for (Fixed& fixed : pool.imap([](int i) { return Fixed(i); }, input)) sum += fixed.value;
  EXPECT_EQ(sum, 3);
  auto results =
      pool.imap([](int i) { return std::string(static_cast<std::size_t>(i), 'x'); }, input);
  EXPECT_EQ(results.begin()->size(), 1u);
}

TEST_F(ImapTest, AResultMayBeMovedOut) {
  GreenPool pool(2);
  std::vector<std::unique_ptr<int>> out;
  for (auto& result :
       pool.imap([](int i) { return std::make_unique<int>(i); }, std::vector{1, 2})) {
    out.push_back(std::move(result));
  }
  EXPECT_EQ(*out[1], 2);
}

TEST_F(ImapTest, TheCallableIsCopiedOnceAndMayBeAMember) {
  struct Counts {
    int* copies;
    explicit Counts(int& copies) : copies(&copies) {}
    Counts(const Counts& other) : copies(other.copies) { ++*copies; }
    int operator()(int i) { return i; }
  };
  GreenPool pool(3);
  int copies = 0;
  Counts counts(copies);
  EXPECT_EQ(collect(pool.imap(counts, std::vector{1, 2, 3})), (Log{"1", "2", "3"}));
  EXPECT_EQ(copies, 1);
  struct Page {
    int size = 3;
    int twice() const { return 2 * size; }
  };
  EXPECT_EQ(collect(pool.imap(&Page::size, std::vector<Page>(1))), (Log{"3"}));
  EXPECT_EQ(collect(pool.imap(&Page::twice, std::vector<Page>(1))), (Log{"6"}));
  auto only_moves = [p = std::make_unique<int>(5)](int i) { return *p + i; };
  EXPECT_EQ(collect(pool.imap(std::move(only_moves), std::vector{1})), (Log{"6"}));
}

namespace {

template <class Fn, class... Ranges>
concept Maps = requires(GreenPool pool, Fn fn, Ranges... ranges) {
  pool.imap(std::move(fn), std::move(ranges)...);
  pool.map(std::move(fn), std::move(ranges)...);
};
using Int = int (*)(int);
static_assert(Maps<Int, std::vector<int>>);
static_assert(!Maps<void (*)(int), std::vector<int>>, "there is no range of nothing");
static_assert(!Maps<Int>, "over what?");
static_assert(!Maps<Int, int>, "not a range");
static_assert(!Maps<Int, std::vector<std::string>>, "not callable with the elements");
static_assert(!Maps<Int, std::vector<int>, std::vector<int>>, "too many arguments");
template <class Range>
concept Copies = requires(GreenPool pool, Range range) {
  pool.imap([](std::unique_ptr<int>) { return 0; }, range);
};
static_assert(!Copies<std::vector<std::unique_ptr<int>>>, "an lvalue range keeps its elements");

}  // namespace

TEST_F(ImapTest, GoesThroughViewsAndAlgorithms) {
  GreenPool pool(3);
  auto even = [](int i) { return i % 2 == 0; };
  std::vector<int> out;
  for (int i : pool.imap(same, std::views::iota(0)) | std::views::filter(even) |
                   std::views::transform([](int i) { return -i; }) | std::views::take(3)) {
    out.push_back(i);
  }
  EXPECT_EQ(out, (std::vector{0, -2, -4}));
  out.clear();
  std::ranges::copy(pool.imap(same, std::vector{3, 2}), std::back_inserter(out));
  EXPECT_EQ(out, (std::vector{3, 2}));
  EXPECT_EQ(std::ranges::count_if(pool.imap(same, std::vector{1, 2, 4}), even), 2);
  auto below = [](int i) { return std::vector<int>(static_cast<std::size_t>(i), i); };
  out.clear();
  for (int i : pool.imap(below, std::views::iota(0)) | std::views::join | std::views::drop(1) |
                   std::views::take_while([](int i) { return i < 4; })) {
    out.push_back(i);
  }
  EXPECT_EQ(out, (std::vector{2, 2, 3, 3, 3}));
  auto pair = [](int i) { return std::pair(i, std::make_unique<int>(10 * i)); };
  int sum = 0;
  for (auto& p : pool.imap(pair, std::vector{1, 2}) | std::views::values) sum += *p;
  EXPECT_EQ(sum, 30);
  auto results = pool.imap(same, std::vector{1, 2, 3});
  EXPECT_TRUE(std::ranges::find(results, 2) != results.end());
  EXPECT_EQ(*results.next(), 3);
}

TEST_F(ImapTest, TakeWaitsForNoMoreResultsThanItTakes) {
  for (bool ordered : {true, false}) {
    GreenPool pool(4);
    fern::Event gate;
    auto work = [&](int i) {
      if (i > 2) gate.wait();
      return i;
    };
    auto input = std::views::iota(1, 4);
    std::vector<int> out;
    auto results = ordered ? pool.imap(work, input) : pool.imap_unordered(work, input);
    for (int i : std::move(results) | std::views::take(2)) out.push_back(i);
    EXPECT_EQ(out, (std::vector{1, 2}));
    gate.set();
    settle();
  }
}

TEST_F(ImapTest, AnIteratorPassesOverWhatNobodyLookedAt) {
  GreenPool pool(2);
  auto results = pool.imap(same, std::views::iota(1, 5));
  auto it = results.begin();
  std::ranges::advance(it, 2);
  EXPECT_EQ(*it, 3);
  ++it;
  EXPECT_EQ(*it, 4);
  ++it;
  EXPECT_TRUE(it == results.end());
}

TEST_F(ImapTest, AnImapMayBeKeptAndMovedWhileItIsRead) {
  struct Crawl {
    Imap<int> results;
  };
  GreenPool pool(2);
  Crawl crawl{pool.imap(same, std::vector{1, 2, 3})};
  auto it = crawl.results.begin();
  Crawl moved{std::move(crawl)};
  EXPECT_EQ(*it, 1);
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_EQ(*moved.results.next(), 3);
}
