create table products (
  slug        varchar(60)  not null primary key,
  name        varchar(80)  not null,
  category    varchar(20)  not null,
  garment     varchar(20)  not null,   -- which picture is drawn
  pattern     varchar(20)  not null,
  colour      char(7)      not null,
  accent      char(7)      not null,
  shade       varchar(40)  not null,   -- the colour's name
  material    varchar(120) not null,
  description text         not null,
  price_cents int unsigned not null,
  sizes       varchar(60)  not null,
  released_at date         not null,
  key by_category (category, released_at),
  fulltext key words (name, shade, material, description)
) engine = InnoDB default charset = utf8mb4;
