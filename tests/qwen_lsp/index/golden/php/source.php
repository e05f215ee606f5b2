<?php
declare(strict_types=1);

namespace Shop\Stock;

use Shop\Model\Item;
use Shop\Util\{Clock, Money as Cash};
use function Shop\Util\shout;
require_once 'lib/common.php';

const LIMIT = 10;
define('OLD_LIMIT', 5);

interface Shelf
{
    public const SIZE = 3;

    public function put(Item $item): bool;
}

trait Counts
{
    private int $count = 0;

    public function count(): int
    {
        return $this->count;
    }
}

enum Color: string
{
    case Red = 'red';
    case Green = 'green';

    public function isRed(): bool
    {
        return $this === self::Red;
    }
}

#[Deprecated]
abstract class Stock implements Shelf
{
    use Counts;

    protected array $items = [], $größe;

    public function __construct(private Clock $clock, int $limit = LIMIT)
    {
        $this->limit = $limit;
    }

    #[Override]
    public function put(
        Item $item,
    ): bool {
        $local = max(1, $this->limit);
        return shout($item->name) > $local;
    }

    abstract protected function name(): string;
}

function load(string $path): ?Stock
{
    return null;
}

$total = load('x');
?>
<p><?= $total ?></p>
