//! The shop's story, wherever it runs: a visitor buys something, and everybody who should know of it does.

use serde_json::Value;

use crate::local::wait_until;
use crate::{Page, Visitor};

/// Where the shop runs.
pub trait Place {
    /// Where somebody outside reaches a service.
    fn address(&self, service: &str) -> String;
    /// What a program of a service's own prints, run where the service runs.
    fn run(&self, service: &str, command: &[&str]) -> String;
    /// Runs a job to its end, whatever its schedule says.
    fn run_job(&self, job: &str);
}

/// A visitor buys; then the order, the charge, the event, the rows that are made of it and the letter are looked for.
pub fn a_purchase(place: &impl Place) {
    let visitor = Visitor::of(&place.address("www"));
    it_looks_like_a_shop(&visitor);
    let order = it_sells(&visitor);

    // The order is in PostgreSQL, the charge as well, and the card in neither.
    let kept: Value = serde_json::from_str(&place.run("order", &["service", "show", &order])).expect("an order");
    assert_eq!((&kept["status"], &kept["total_cents"]), (&"paid".into(), &21800.into()), "{kept}");
    assert_eq!(kept["lines"].as_array().map(Vec::len), Some(2), "{kept}");
    let charge = sql(place, "payment", "LEDGER", &format!("select * from charges where key = '{order}'"));
    assert!(charge.contains("|paid|") && charge.contains("|4242|"), "{charge}");
    assert!(!format!("{kept}{charge}").contains("4242424242424242"), "{kept} {charge}");

    // Its event is in Kafka, once.
    let told = || {
        let events = place.run("etl.load", &["python", "peek.py", "orders"]);
        events.lines().filter(|event| event.contains(&order)).count()
    };
    wait_until("the event is sent", || told() > 0);
    assert_eq!(told(), 1);

    // etl makes rows of it, once.
    for _ in 0..2 {
        place.run_job("etl.load");
        let rows = format!("select product, quantity from purchases where order_id = '{order}' order by product");
        let rows = sql(place, "etl.load", "ANALYTICS", &rows);
        assert_eq!(rows, "harbour-breton-tee|1\nskagen-rain-jacket|1");
    }

    // The notifier has written the confirmation, once.
    let letters = || -> Vec<Value> {
        let written = place.run("notifier", &["node", "outbox.js", &order]);
        written.lines().map(|line| serde_json::from_str(line).expect("a letter")).collect()
    };
    wait_until("the confirmation is written", || !letters().is_empty());
    let letters = letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["recipient"], "ada@example.com");
    assert_eq!(letters[0]["subject"], format!("Your order {}", order[..8].to_uppercase()));

    recommendations_are_on_trial(place);
}

/// Products with pictures, and recommendations that say why.
fn it_looks_like_a_shop(visitor: &Visitor) {
    let home = visitor.open("/");
    assert_eq!(home.status, 200, "{}", home.body);
    assert!(home.between("<li class=\"card\">", "</li>").len() >= 12, "{}", home.body);
    let pictures = home.between("src=\"/pictures/", "\"");
    assert!(pictures.len() >= 12, "{pictures:?}");
    for picture in pictures {
        let picture = visitor.open(&format!("/pictures/{picture}"));
        assert_eq!((picture.status, picture.content_type.as_str()), (200, "image/svg+xml"));
        assert!(picture.body.starts_with("<svg"));
    }
    let found = visitor.open("/shop?q=rain");
    assert_eq!(found.between("<h3>", "</h3>"), ["Skagen rain jacket"]);
    let product = visitor.open("/products/harbour-breton-tee");
    assert_eq!(product.between("<p class=\"reason\">", "</p>").len(), 4, "{}", product.body);
    assert!(product.body.contains("Often bought together"), "{}", product.body);
}

/// Fills a cart, fails to pay, pays; gives the order's id.
fn it_sells(visitor: &Visitor) -> String {
    for (product, size) in [("harbour-breton-tee", "M"), ("skagen-rain-jacket", "L")] {
        let added = visitor.send("/cart/items", &[("product", product), ("size", size)]);
        assert_eq!((added.status, added.location.as_deref()), (303, Some("/cart")), "{}", added.body);
    }
    let cart = visitor.open("/cart");
    assert!(cart.body.contains("<dd>€ 218</dd>"), "{}", cart.body);

    let pay = |id: &str, number: &str| {
        let fields = [("id", id), ("name", "Ada Lovelace"), ("email", "ada@example.com"), ("street", "12 Loom Lane")];
        let more = [("postcode", "27131"), ("city", "Ystad"), ("number", number), ("expiry", "12/39")];
        visitor.send("/checkout", &[&fields[..], &more[..]].concat())
    };
    let form = |page: &Page| page.between("name=\"id\" value=\"", "\"")[0].to_owned();
    let declined = pay(&form(&visitor.open("/checkout")), "4000 0000 0000 0002");
    assert_eq!(declined.status, 402);
    assert!(declined.body.contains("The card was declined."), "{}", declined.body);

    let order = form(&declined);
    let address = format!("/orders/{order}");
    for _ in 0..2 {
        // The second time the cart is empty already, but the form is the same: nothing is bought again.
        let paid = pay(&order, "4242 4242 4242 4242");
        assert_eq!((paid.status, paid.location.as_deref()), (303, Some(address.as_str())), "{}", paid.body);
    }
    let thanks = visitor.open(&address);
    assert!(thanks.body.contains("Thank you, Ada.") && thanks.body.contains("€ 218"), "{}", thanks.body);
    assert!(visitor.open("/cart").body.contains("Your cart is empty"));
    order
}

/// Flags give some visitors one mix and others another one, and nobody both.
fn recommendations_are_on_trial(place: &impl Place) {
    let recommender = Visitor::of(&place.address("recommender"));
    let variant = |visitor: usize| {
        let page = recommender.open(&format!("/recommendations?for=market-tote&visitor=visitor-{visitor}"));
        page.between("\"variant\":\"", "\"")[0].to_owned()
    };
    let variants: Vec<String> = (0..20).map(variant).collect();
    for name in ["classic", "fresh"] {
        assert!(variants.iter().any(|variant| variant == name), "{variants:?}");
    }
    assert_eq!(variants, (0..20).map(variant).collect::<Vec<_>>());
}

/// What a query gives, asked as the service itself would: a row a line, `|` between columns.
fn sql(place: &impl Place, service: &str, alias: &str, statement: &str) -> String {
    place.run(service, &["python", "-m", "shop.query", alias, statement]).trim().to_owned()
}
