"""Word lists from which the demonstration is made. Every name carries a mark, so that nobody takes it for a person."""

MARK = "（演示）"
"""Stands behind every Chinese name; names in other scripts have the surname Sample."""

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
WOMEN = ("秀兰", "桂英", "玉珍", "淑华", "丽娟", "晓敏", "雪梅", "佳怡", "思雨", "欣然")
MEN = ("建国", "志强", "德明", "永福", "海涛", "文斌", "俊杰", "浩然", "子轩", "一鸣")
SAMPLES = ("Alex", "Maria", "Jean", "Nora", "Ivan", "Yuki", "Minjun", "Layla", "Peter", "Anna")
LANGUAGES = ("en", "en", "en", "en", "en", "fr", "ko", "ja", "ru", "ar")
"""What foreign residents read; English is the commonest."""

RELATIONS = ("daughter", "son", "niece", "nephew")

GROCERIES = (
    ("白菜", 2, "颗"),
    ("甘蓝", 1, "颗"),
    ("芹菜", 1, "把"),
    ("砂糖橘", 3, "斤"),
    ("鸡蛋", 20, "个"),
    ("大米", 5, "公斤"),
    ("牛奶", 6, "盒"),
    ("豆腐", 2, "块"),
    ("面条", 2, "包"),
    ("酱油", 1, "瓶"),
)
MEDICINES = (("降压药", 1, "盒"), ("感冒药", 1, "盒"), ("胰岛素", 1, "支"), ("退烧贴", 2, "包"), ("创可贴", 1, "盒"))
MEALS = (("盒饭", 2, "份"), ("馄饨", 1, "份"), ("小米粥", 2, "份"))
NOTES = ("", "", "", "放门口就好", "请先打电话", "门铃坏了，请敲门", "下楼时请带走垃圾", "Please leave it at the door")
