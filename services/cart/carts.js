// Carts in Redis: a hash for each visitor, from product and size to how many. One that nobody touches for a month is gone.

export const MOST_OF_ONE = 20;
export const MOST_LINES = 50;

const MONTH = 30 * 24 * 3600;
const REMEMBERED = 600; // seconds in which the same request counts once

// Adds at most once for each request, and never beyond the limits: -1 is "too many different things".
const ADD = `
if not redis.call('set', KEYS[2], 1, 'nx', 'ex', ARGV[5]) then return 0 end
local have = tonumber(redis.call('hget', KEYS[1], ARGV[1]) or 0)
if have == 0 and redis.call('hlen', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('hset', KEYS[1], ARGV[1], math.min(have + tonumber(ARGV[2]), tonumber(ARGV[3])))
redis.call('expire', KEYS[1], ARGV[6])
return 1`;

const key = (id) => `cart:${id}`;
const field = ({ product, size }) => `${product}|${size}`;

export function createCarts(redis) {
  async function read(id) {
    const entries = Object.entries(await redis.hGetAll(key(id))).sort(([a], [b]) => (a < b ? -1 : 1));
    const items = entries.map(([name, quantity]) => {
      const [product, size] = name.split("|");
      return { product, size, quantity: Number(quantity) };
    });
    return { items, count: items.reduce((sum, item) => sum + item.quantity, 0) };
  }

  return {
    read,

    // False when the cart is full.
    async add(id, item, request) {
      const limits = [MOST_OF_ONE, MOST_LINES, REMEMBERED, MONTH];
      const added = await redis.eval(ADD, {
        keys: [key(id), `added:${id}:${request}`],
        arguments: [field(item), item.quantity, ...limits].map(String),
      });
      return added >= 0;
    },

    // Exactly so many; 0 takes it out.
    async set(id, item) {
      if (item.quantity === 0) await redis.hDel(key(id), field(item));
      else if (await redis.hExists(key(id), field(item))) await redis.hSet(key(id), field(item), item.quantity);
    },

    empty: (id) => redis.del(key(id)),
    check: () => redis.ping(),
  };
}
