// The price list as a web page shows it.

export interface Price {
  name: string;
  cents: number;
}

export function format(price: Price): string {
  const whole = Math.floor(price.cents / 100);
  const rest = String(price.cents % 100).padStart(2, "0");
  return `${price.name}: ${whole}.${rest}`;
}

export function cheapest(prices: Price[]): Price | undefined {
  let best: Price | undefined;
  for (const price of prices) {
    if (best === undefined || price.cents < best.cents) {
      best = price;
    }
  }
  return best;
}
