#include <vector>
#include "stock.hpp"

#define LIMIT 10

using std::string;
using Names = std::vector<string>;

namespace shop::inner {

constexpr int größe = 3;

template <typename T>
concept Small = sizeof(T) < 8;

enum class Color : int { Red, Green };

template <typename T, int N = LIMIT>
class Stock : public Base<T> {
public:
    explicit Stock(int limit) : limit_(limit) {}
    virtual ~Stock();
    [[nodiscard]] bool put(
        const T &item) override;
    int size() const noexcept { return items_.size(); }
    T &operator[](const string &name);
    operator bool() const { return true; }
    static Stock *make(int limit);

    struct Node {
        Node *next;
    };

private:
    std::vector<T> items_;
    int limit_ = 0;
    T &ref_;
};

template <typename T, int N>
bool Stock<T, N>::put(const T &item)
{
    int local = max(1, limit_);
    auto helper = [&](int n) { return n + local; };
    items_.push_back(item);
    return helper(1) > 0;
}

std::ostream &operator<<(std::ostream &out, const Color &color) { return out << "📦"; }

}  // namespace shop::inner

int Shelf::Inner::grow(int by) { return by; }

Shelf::Shelf() = default;

Shelf::~Shelf() { close(); }

static string shout(const string &text)
{
    return text + "!";
}

int total();

int main()
{
    shop::inner::Stock<int> stock(3);
    return stock.put(total()) ? 0 : 1;
}
